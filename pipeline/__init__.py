"""Train a model and export it complete: seven stages, each of which hands its output to the next.

    conf/ --> compose --> params.yaml
    data/ --> prepare --> train --> checkpoint --> export-complete --> verify --> log-to-mlflow

A stage is a module of its name here, with a function of its name: it takes input directories,
writes one output directory or report, and knows neither DVC nor where its paths lie (dvc.yaml
does). `run.stage.main` wraps it: it reads and checks its params, refuses inputs that are unlike
their statements, and writes the output's statement of provenance last. A directory with a statement
is therefore whole, and the statement names exactly what the directory was made from.

compose          merges conf/ with what the user set in params.yaml. All later stages read their
                 numbers from params.yaml and nowhere else.
prepare          checks each value of the raw data, splits the rows, and hands on an array a file
                 (<split>/inputs/<name>.npy, <split>/targets/<name>.npy) with schema.json;
                 rows that differ in length lie unpadded, with <split>/offsets/<dimension>.npy.
train            builds the model that params.model names, and hands on one checkpoint an epoch with
                 history.csv. Killed, it goes on after the last epoch, bit for bit. A command in the
                 loop's place leaves the one that is taken in.
checkpoint       chooses the epoch, and hands on its weights with the reference: inputs, the trained
                 model's answers to them, and the losses and weights of a few more steps, as plain
                 arrays. It says what the model was, so verify and log-to-mlflow need no models/.
export-complete  hands on the complete model: the formats, which predict and train on without the
                 source, with card, examples, lineage and requirements. It can be mailed.
verify           loads each format in a process that refuses the source, compares its answers and
                 its further training with the reference, and hands on a report. A fault fails it.
log-to-mlflow    makes one MLflow run of it all, found again by the complete model's digest.

Commands stand beside the stages: `python -m pipeline` composes and runs them; trace, diff, examine,
reproduce, resume, fetch, layout, relog, sign and verify_signature take what they made.

Folders that are no command are rooms: each holds what stages and commands use of one subject, and
its docstring says what lies there and which other rooms it imports (tests/test_imports.py
compares). To follow a run, read run/stage.py, then the stages in their order. To add something of
your own, read contract.py in formats, frameworks, runtimes or verification/checks.
"""

from pipeline import preloading

preloading.hand_over()

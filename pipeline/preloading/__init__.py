"""The stages of one `dvc repro`, or of one `reproduce`, import a framework once between them, and
while the first ones run.

The first stage that DVC starts also starts a server (`server`), which ends with that DVC. The
server has a process for the model's framework, one for `verify` and one for MLflow (`parent`),
which have imported libraries and nothing of ours. A later stage hands over its command line,
directory, environment and streams (`client`): the process forks, the copy runs the stage from the
stage's own folder, and the stage ends as the copy does.

Below, DVC is whichever of the two has started the stage. A stage that would be another process
there (with other limits, name spaces, variables or flags) runs where it is, and so does whatever
somebody else has started. `PRELOAD=0` turns all of it off.

It imports run.
"""

import os
import sys

from pipeline.run.dvc_process import RUNS_STAGES, STANDS_FOR, processes_up_to_dvc

STAGES = ("compose", "prepare", "train", "checkpoint", "export_complete", "verify", "log_to_mlflow")
LIGHT = ("compose", "prepare")
"""Stages that import little, and run where they are."""


def hand_over() -> None:
    """Returns where the stage is to run here; else ends this process as the other one ends."""
    if stage := _stage():
        from pipeline.preloading import client

        if names := _names(stage):
            client.demand_server(names)
            if stage not in LIGHT:
                client.hand_over(names[0])


def _stage() -> str | None:
    """Returns the stage that DVC has started this process for, where it can be preloaded."""
    if not {"DVC_STAGE", RUNS_STAGES} & os.environ.keys() or not sys.platform.startswith("linux"):
        return None
    words = sys.orig_argv[1:3]
    package, _, stage = words[-1].partition(".")
    asked = words[0] == "-m" and package == "pipeline" and stage in STAGES
    if "DVC_STAGE" not in os.environ:
        asked = asked and os.environ[RUNS_STAGES] == str(processes_up_to_dvc()[-1][1])
    off = STANDS_FOR in sys._xoptions or os.environ.get("PRELOAD") == "0"
    return stage if asked and not off else None


def _names(stage: str) -> list[str]:
    """Returns what the stage is preloaded with, and then those after it."""
    if stage == "log_to_mlflow":
        return ["mlflow"]
    if stage == "verify":
        return ["metrics", "mlflow"]
    if framework := _framework():
        return [framework, "metrics", *(["mlflow"] if "DVC_STAGE" in os.environ else [])]
    return []


def _framework() -> str | None:
    """Returns that of the model in params.yaml, as the pipeline writes it."""
    try:
        with open("params.yaml", "rb") as file:  # noqa: PTH123
            section = file.read().partition(b"\nmodel:\n")[2]
    except OSError:
        return None
    for line in section.split(b"\n"):
        if not line.startswith(b"  "):
            return None
        if line.startswith(b"  framework: "):
            return line[13:].decode(errors="replace")
    return None

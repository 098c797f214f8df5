"""README.md of a complete model: what it is, how to load it, where it came from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import formats, runtimes
from pipeline.complete_model import meanings, mlmodel
from pipeline.formats.dimensions import declared
from pipeline.runtimes.contract import FOLDER


@dataclass(frozen=True, kw_only=True)
class Content:
    """What a card says is in the complete model itself, so that anybody can make it again."""

    name: str
    schema: Mapping[str, Any]
    metrics: Mapping[str, Any]
    held: Sequence[str]
    """Formats, in the order in which they were written."""
    trains: Sequence[str]
    """Those that can be trained on."""
    runtimes: Sequence[str] = ()
    """Whose programs it carries: they ran."""
    threads: int
    """Of training."""
    commit: str | None
    patched: bool


def card(content: Content, directory: Path) -> str:
    """Returns the card as Markdown. Each ```python block runs as it stands, from inside the
    directory."""
    schema, held, trains = content.schema, content.held, content.trains
    sections = [
        f"# {content.name}",
        _introduction(schema, content.metrics),
        "## Set up\n\n```sh\npip install -r requirements.txt\n```",
        *(_text(name, schema) for name in tokenizers(schema).values()),
        *(_format(name, schema, name in trains) for name in held),
        _check(schema),
        *_elsewhere(content.runtimes, directory),
        *_serving(schema, held),
        *([_training(content, directory)] if trains else []),
        _origin(content),
    ]
    return "\n\n".join(sections) + "\n"


def _introduction(schema: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    scores = ", ".join(f"{k} {v:.4f}" for k, v in metrics.items() if k.startswith("test/"))
    return "\n".join(
        [
            "A complete model: architecture, weights and preprocessing in one directory. It takes",
            "raw values, any number of rows, and needs none of the code it was trained with.",
            "",
            "| | name | dtype | shape |",
            "|---|---|---|---|",
            *(_tensor("input", name, spec) for name, spec in schema["inputs"].items()),
            *(_tensor("output", name, spec) for name, spec in schema["outputs"].items()),
            *meanings.lines(schema),
            "",
            *_dimensions(schema),
            "The rows were made up, so nothing is claimed of how good its answers are."
            if schema.get("made_up")
            else f"Epoch {schema['epoch']}, on the test split: {scores}.",
        ]
    )


def _tensor(kind: str, name: str, spec: Mapping[str, Any]) -> str:
    sizes = ["any" if size is None else str(size) for size in spec["shape"]]
    shape = ", ".join(["rows", *sizes])
    return f"| {kind} | `{name}` | {spec['dtype']} | ({shape}) |"


def _dimensions(schema: Mapping[str, Any]) -> list[str]:
    """Returns what varies beside the rows, and how a batch of different rows is made."""
    bounds = schema.get("dimensions", {})
    if not bounds:
        return []
    said = [f"`{name}` {each['least']} to {each['most']}" for name, each in bounds.items()]
    pads = [
        f"`{name}` with {each['pad']}" for name, each in schema["inputs"].items() if "pad" in each
    ]
    masks = [
        f"`{name}` is 1 where a row has values and 0 where it is padded"
        for name, each in schema["inputs"].items()
        if "mask" in each
    ]
    text = f"Any size of {', '.join(said)}. Rows that differ are padded: {', '.join(pads)}"
    return [f"{'; '.join([text, *masks])}.", ""]


def tokenizers(schema: Mapping[str, Any]) -> dict[str, str]:
    """Returns the files of tokenizers, with the input that each is of."""
    named = {n: each["tokenizer"] for n, each in schema["inputs"].items() if "tokenizer" in each}
    return {each["file"]: name for name, each in named.items()}


def _text(name: str, schema: Mapping[str, Any]) -> str:
    """Returns the lines that make a batch of texts, as the model takes them."""
    entry = schema["inputs"][name]
    dimension, file = entry["shape"][0], entry["tokenizer"]["file"]
    most = schema["dimensions"][dimension]["most"]
    masks = [
        f"{mask} = numpy.array([[1] * len(row) + [0] * (length - len(row)) for row in rows], "
        f'"{each["dtype"]}")'
        for mask, each in schema["inputs"].items()
        if "mask" in each and each["shape"] == [dimension]
    ]
    lines = [
        "import json, numpy",
        "from tokenizers import Tokenizer",
        "",
        f'tokenizer = Tokenizer.from_file("{file}")',
        f'example = json.load(open("examples/tokenized.json"))["{name}"]',
        f'rows = [tokenizer.encode(text).ids[:{most}] for text in example["texts"]]',
        "length = max(map(len, rows))",
        f"{name} = numpy.array([row + [{entry['pad']}] * (length - len(row)) for row in rows])",
        *masks,
        'print(rows == example["ids"])',
    ]
    return "\n".join(
        [
            f"## From texts to `{name}`",
            "",
            f"`{file}` is read by [tokenizers](https://pypi.org/project/tokenizers/);",
            "`examples/tokenized.json` has texts, and the ids that the model was trained with.",
            "",
            "```python",
            *lines,
            "```",
        ]
    )


def _format(name: str, schema: Mapping[str, Any], trains: bool) -> str:
    promises = formats.declared(name).promises.as_mapping() | {"trainable": trains}
    does = [text for key, text in PROMISED.items() if promises[key]]
    does_not = [text for key, text in PROMISED.items() if not promises[key]]
    lines = [
        f"## {name}",
        "",
        f"Runs in {', '.join(promises['runtimes'])}.",
        f"Promised and verified: {'; '.join(does) or 'nothing'}.",
        f"Not promised: {'; '.join(does_not) or 'nothing'}.",
    ]
    lines += [promises["note"], "", "```python"]
    code = formats.card(name).card(list(schema["inputs"]), list(schema["outputs"]))
    lines += [code.strip(), "```"]
    return "\n".join(lines)


PROMISED = {
    "code_free": "loads without its source code",
    "safe_to_load": "loading runs no code from the file",
    "trainable": "can be trained on",
    "same_bytes": "the same model gives the same bytes",
}


def _check(schema: Mapping[str, Any]) -> str:
    first = next(iter(schema["outputs"]))
    return (
        "## Is it right?\n\n"
        f"`examples/one.npz` and `examples/seven.npz` hold inputs (`input.<name>`) and what the\n"
        f"trained model answered to them (`output.{first}`). After one of the blocks above:\n\n"
        "```python\n"
        "import numpy\n"
        "\n"
        f'expected = numpy.load("examples/one.npz")["output.{first}"]\n'
        "answer = outputs[0] if isinstance(outputs, (list, tuple)) else outputs\n"
        "print(abs(numpy.asarray(answer) - expected).max())\n"
        "```"
    )


def _elsewhere(names: Sequence[str], directory: Path) -> list[str]:
    """Returns a section for each language that the model was run in."""
    return [
        f"## {runtimes.declared(name).title}\n\n"
        f"`{FOLDER}/{name}/` is the smallest program that loads "
        f"{runtimes.declared(name).format} there,\nanswers the examples and prints how far that is "
        "from the trained model's answers. It was run.\n"
        f"It takes {runtimes.declared(name).needs}.\n\n"
        f"```sh\n{runtimes.program(name).card(directory)}\n```"
        for name in names
    ]


def _serving(schema: Mapping[str, Any], held: Sequence[str]) -> list[str]:
    """Returns the lines about serving; none where no loader of MLflow's own takes it."""
    claimed = mlmodel.flavors(schema, held)
    if "python_function" not in claimed:
        return []
    needed = ", ".join(mlmodel.needs(schema, held))
    return [
        f"""## Serve

MLflow takes the directory as it is; the second command is for another terminal:

```sh
mlflow models serve -m . --env-manager local -p 5001
curl http://127.0.0.1:5001/invocations -H "Content-Type: application/json" \\
  -d @{mlmodel.REQUEST}
```

`--env-manager uv` makes the environment first: {needed}.
In Python, `mlflow.pyfunc.load_model(".")` takes the same inputs."""
    ]


def _training(content: Content, directory: Path) -> str:
    schema = content.schema
    lines = [
        "## Train on",
        "",
        "`examples/training.npz` has the rows of a few more steps, `step` says which belong to",
        "which, and `loss` what the source code found in each; yours take their place.",
        f"It was trained with {content.threads} thread{'s' * (content.threads > 1)}: as many give"
        " the same last bits again, more may be faster.",
    ]
    for name in content.trains:
        names = list(schema["inputs"]), list(schema["outputs"]), _targets(schema)
        code = formats.card(name).training_card(*names, directory, declared(schema))
        lines += ["", f"With {name}:", "", "```python", code.strip(), "```"]
    return "\n".join(lines)


def _targets(schema: Mapping[str, Any]) -> list[str]:
    """Returns the names of the targets' arrays in examples/training.npz; that of a model from
    before targets had names is `target`."""
    return ["target"] if "target" in schema else [f"target.{each}" for each in schema["targets"]]


def _origin(content: Content) -> str:
    commit = content.commit or "none: it was not in git"
    changed = " and `source.patch`, which is to be applied to it" if content.patched else ""
    return (
        f"## Where it came from\n\n{meanings.origin(content.schema)}"
        f"Made from commit `{commit}`{changed}.\n"
        "`provenance.json` names the sha256 of every file here and everything it was made from:\n"
        "code, data, parameters and installed packages; `lineage/` has the same of its\n"
        "checkpoint, its training and its data. In a clone of its repository,\n"
        "`python -m pipeline.trace` with this directory checks all of it, and\n"
        "`python -m pipeline.reproduce` makes it again."
    )

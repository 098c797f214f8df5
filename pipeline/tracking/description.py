"""A run describes itself: tags, a page in markdown, and the source of its raw data."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline import provenance
from pipeline.provenance import git
from pipeline.provenance.addresses import without_login
from pipeline.resolve.logged import KEY
from pipeline.text import escaped
from pipeline.tracking.content import RunContent
from pipeline.tracking.details import Details


def tags(content: RunContent, details: Details) -> dict[str, str]:
    """Returns the run's tags: digests, data, code, the page, and what its process knew."""
    commit, patch = content.node.commit, content.node.patch
    named = {
        **details.tags,
        KEY: content.digest,
        "checkpoint.epoch": str(content.schema["epoch"]),
        "provenance.checkpoint": content.artifacts["checkpoint"].digest,
        "provenance.train": content.artifacts["train"].digest,
        "provenance.data": content.artifacts["data"].digest,
        "data.path": content.raw["path"],
        "data.sha256": content.raw["sha256"],
        "mlflow.note.content": description(content),
        "mlflow.source.name": "dvc.yaml",
        "mlflow.source.type": "PROJECT",
    }
    if commit:
        named |= {"git.commit": commit, "mlflow.source.git.commit": commit}
        named |= {"git.patched": str(patch is not None).lower()}
    if patch:
        named["git.patch"] = patch
    if content.by_reference:
        named |= content.reference
    if "train.parent" in content.flat_params and content.flat_params["train.parent"] != "null":
        named["provenance.parent"] = content.flat_params["train.parent"]
    if origin := content.schema.get("start"):
        named["provenance.start"] = origin["sha256"]
    return named


def description(content: RunContent) -> str:
    """Returns what the model is, what it reached and how to get it again, as markdown; MLflow folds
    away all but the first lines.

    The data are named here because MLflow's page of a data set shows no source of a kind that it
    does not bring itself.
    """
    raw = content.raw
    commit = content.node.commit or "none: it was not in git"
    changed = f" with `{provenance.PATCH}` on top" if content.node.patch else ""
    data = f"{_code(raw['path'])} at revision `{raw['rev']}`, sha256 `{raw['sha256']}`"
    tested = {name: value for name, value in content.final.items() if name.startswith("test/")}
    reached = ", ".join(f"{_code(name)} {value:.6g}" for name, value in tested.items())
    reached = reached or "its rows were made up, so no metric is claimed"
    commands = [
        f"python -m pipeline.{each} {content.digest[:12]}" for each in ("reproduce", "trace")
    ]
    return "\n".join(
        [
            f"A complete {_code(content.model)}, verified, that needs none of its source: "
            f"{reached}.",
            *(_started(content)),
            *("", "In a clone, made again, and what it was made from:", "```", *commands, "```"),
            *(_elsewhere(content) if content.by_reference else ()),
            *("", f"Code: commit `{commit}`{changed}."),
            *("", f"Data: {data}."),
            *("", f"Statement of provenance: sha256 `{content.digest}`."),
        ]
    )


def _started(content: RunContent) -> Iterator[str]:
    """Tells of the checkpoint that the model is, or was trained on from."""
    if origin := content.schema.get("start"):
        does = "trained on from" if content.schema["epoch"] else "trained elsewhere, adopted from"
        name, unknown = _code(str(origin["known"].get("name"))), ", ".join(origin["unknown"])
        yield from ("", f"It was {does} the checkpoint {name}, sha256 `{origin['sha256']}`; not")
        yield f"known are its {unknown}."
        if adapter := origin.get("adapter"):
            yield f"Adapters of rank {adapter['r']} were trained, and are merged with its weights."


def _elsewhere(content: RunContent) -> Iterator[str]:
    """Tells how to get the files of which MLflow has the place alone."""
    reference = content.reference
    where = ", ".join(f"{_code(name)} {_code(value)}" for name, value in reference.items())
    yield from ("", f"Its files are not here but in DVC: {where}.")
    yield from ("In a clone that has the remote:", "```")
    yield from (f"python -m pipeline.fetch {reference['dvc.md5']} complete-model", "```")


def _code(text: str) -> str:
    """Returns the text as code, in which nothing is markup."""
    return "`" + escaped(text).replace("`", "'").replace("|", "/") + "`"


def source(content: RunContent, root: Path) -> dict[str, Any]:
    """Returns what DvcSource takes; `root` stands for the repository that has no remote."""
    url = git.remote_url(root, "origin")
    return {**content.raw, "url": root.as_uri() if url is None else without_login(url)}

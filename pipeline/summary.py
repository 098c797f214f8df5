"""A run leaves a summary of a few lines: metrics, where the model is, the verdict, what next."""

import json
from pathlib import Path
from typing import Any

from pipeline import provenance
from pipeline.project import CHECKPOINTS, CONF_LOCK, PARAMS, PARENTS
from pipeline.provenance import git
from pipeline.run import versions

ARTIFACTS = (
    "artifacts/data",
    "artifacts/train",
    "artifacts/checkpoint",
    "artifacts/complete-model",
)
WRITTEN = (Path("dvc.lock"), PARAMS, CONF_LOCK, CHECKPOINTS, PARENTS)
"""What a run writes of what git tracks: its inputs' and outputs' digests, its values, which of them
conf/ chose, and what names the checkpoints and complete models that it started from."""
MODEL = Path("artifacts/complete-model")
VERIFICATION = Path("reports/verify.json")
RUN = Path("reports/mlflow.json")


def summary() -> str:
    """Returns the summary of the artifacts that lie in the working directory."""
    if lacking := [str(path) for path in (MODEL, VERIFICATION, RUN) if not path.exists()]:
        return f"\nnot made: {', '.join(lacking)}; `dvc repro` makes what dvc.yaml has stages for"
    metrics = json.loads((MODEL / "metrics.json").read_text())
    verified: dict[str, Any] = json.loads(VERIFICATION.read_text())
    run: dict[str, Any] = json.loads(RUN.read_text())
    params = provenance.params(MODEL)
    formats = json.loads((MODEL / "formats.json").read_text())["held"]
    checks = ", ".join(k for k, each in verified["checks"].items() if not each.get("not_done"))
    scores = "  ".join(f"{k} {v:.4f}" for k, v in metrics.items() if k.startswith("test/"))
    first = "" if run["tracking_uri"].startswith("http") else "  (`make ui` first)"
    lines = {
        "model": f"{params['model']['name']}  {scores}",
        "complete": f"{MODEL}/  ({', '.join(formats)})",
        "verified": f"{'passed' if verified['passed'] else 'FAILED'}: {checks}",
        "report": f"{VERIFICATION.with_suffix('.html')}",
        "MLflow": f"run {run['run_id']}",
        "all runs": f"{run['links']['runs']}{first}",
        "next": f"{MODEL}/README.md loads it anywhere; `python -m pipeline --help` changes it",
    }
    lines |= _uncommitted() | _other_versions(params["train"]["parent"])
    return "\n" + "\n".join(f"{name + ':':<10}{text}" for name, text in lines.items())


def _uncommitted() -> dict[str, str]:
    """Returns a line where a commit would make this run one that can be found again."""
    changed = git.line(Path(), "status", "--porcelain", "--", *map(str, WRITTEN)) or ""
    names = [line.split()[-1] for line in changed.splitlines()]
    names = [str(Path(each).parent) if len(Path(each).parts) > 1 else each for each in names]
    files = " ".join(str(path) for path in WRITTEN if str(path) in names)
    advice = (
        f"`git commit --message '…' -- {files}` keeps what names this run: they changed with it"
    )
    return {"git": advice} if files else {}


def _other_versions(parent: str | None) -> dict[str, str]:
    """Returns a line where artifacts were made with other versions than are installed; DVC takes
    them for up to date, and says nothing."""
    artifacts = [*map(Path, ARTIFACTS), *([PARENTS / parent] if parent else [])]
    by_versions: dict[str, list[str]] = {}
    for artifact in artifacts:
        if changes := versions.differences(artifact):
            by_versions.setdefault(", ".join(changes), []).append(str(artifact))
    if not by_versions:
        return {}
    text = "; ".join(f"{', '.join(made)}: made with {old}" for old, made in by_versions.items())
    return {"versions": f"{text}; `dvc repro --force` makes all anew"}


if __name__ == "__main__":
    print(summary())

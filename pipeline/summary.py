"""What a run left, in a few lines: metrics, where the model is, the verdict, the run, what next."""

import json
from pathlib import Path
from typing import Any

from pipeline import provenance

MODEL = Path("artifacts/complete-model")
VERIFICATION = Path("reports/verify.json")
RUN = Path("reports/mlflow.json")


def summary() -> str:
    """Of the artifacts that lie in the working directory."""
    metrics = json.loads((MODEL / "metrics.json").read_text())
    verified: dict[str, Any] = json.loads(VERIFICATION.read_text())
    run: dict[str, Any] = json.loads(RUN.read_text())
    params = provenance.params(MODEL)
    formats = json.loads((MODEL / "formats.json").read_text())["held"]
    checks = ", ".join(verified["checks"])
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
    return "\n" + "\n".join(f"{name + ':':<10}{text}" for name, text in lines.items())


if __name__ == "__main__":
    print(summary())

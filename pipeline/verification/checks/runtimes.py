"""Each program in another language, built and run as it lies there, answers as the trained model.

One that this machine lacks something for was not run, which is a fault where it is required.
"""

from collections.abc import Iterator
from typing import Any

from pipeline import runtimes
from pipeline.complete_model.running import Trained
from pipeline.config.params import Tolerance
from pipeline.verification.comparison import compare
from pipeline.verification.evidence import Evidence
from pipeline.verification.result import Fault, Result
from pipeline.verification.state import by_digest

NOT_RUN, FAILED, PASSED = "not run here", "failed", "passed"


def check(evidence: Evidence) -> Result:
    """Measures by runtime; a fault is of the format that the runtime takes."""
    faults: list[Fault] = []
    measured: dict[str, dict[str, Any]] = {}
    for name, ran in evidence.ran.items():
        taken = runtimes.declared(name).format
        tolerance = _allowed(name, evidence.tolerance(taken))
        result: dict[str, Any] = {"format": taken, "outcome": PASSED, "why": ""}
        if ran.missing:
            result |= {"outcome": NOT_RUN, "why": ran.missing}
            texts = [f"is required, and not run here: {ran.missing}"]
            texts = texts if name in evidence.required else []
        elif ran.fault and not ran.outputs:
            texts = [ran.fault]
        else:
            difference = compare(ran.outputs, evidence.baseline, tolerance)
            texts = difference.faults or ([ran.fault] if ran.fault else [])
            result |= difference.measured(tolerance)
        faults += [Fault(f"{name}: {text}", taken) for text in texts]
        if ran.trained is not None:
            more = list(_of_training(evidence, ran.trained))
            faults += [Fault(f"{name}: {text}", ran.trained.format) for text in more]
            texts += more
            result["training"] = _measured(evidence, ran.trained)
        if texts and not ran.missing:
            result |= {"outcome": FAILED, "why": texts[0]}
        measured[name] = result
    summary = "" if measured else "no program in another language is in the model"
    return Result(faults=tuple(faults), measured=measured, summary=summary, done=bool(measured))


def _allowed(name: str, promised: Tolerance) -> Tolerance:
    atol, rtol = runtimes.tolerance(name, promised.atol, promised.rtol)
    return Tolerance(atol=atol, rtol=rtol)


def _of_training(evidence: Evidence, trained: Trained) -> Iterator[str]:
    """Yields the faults of what it came to: losses, state, and answers after the steps."""
    if trained.fault and not trained.results:
        yield f"training on: {trained.fault}"
        return
    tolerance = evidence.training_tolerance(trained.format)
    faults, results = by_digest(trained.results, evidence, tolerance)
    faults += compare(results, evidence.trained, tolerance).faults
    yield from (f"training on: {text}" for text in faults or filter(None, [trained.fault]))


def _measured(evidence: Evidence, trained: Trained) -> dict[str, Any]:
    tolerance, losses = (
        evidence.training_tolerance(trained.format),
        trained.results.get("losses", {}),
    )
    differences = {
        kind: compare(trained.results, {kind: arrays}, tolerance).max_abs
        for kind, arrays in evidence.trained.items()
    }
    return {
        "format": trained.format,
        "steps": len(evidence.steps["loss"]),
        "losses": [float(losses[n]) for n in evidence.trained["losses"] if n in losses],
        "max_abs_diff": differences,
        "atol": tolerance.atol,
        "rtol": tolerance.rtol,
    }

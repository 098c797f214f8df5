"""What became of a net: four rates, each with its reason where it is not so."""

import json
import os
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.zoo.nets import Net
from pipeline.formats import loader

RATES = ("trains", "predicts", "trains on", "onnx", "verified")
"""It trains here; its program predicts bit for bit, and trains on bit for bit; its ONNX answers
within tolerance; no check finds a fault."""
OF_ANSWERS = ("integrity", "self_contained", "parity", "deterministic")
LONGEST = 320
"""Characters of a reason."""


@dataclass
class Outcome:
    """Of a net."""

    digest: str
    seconds: float = 0.0
    memory: float = 0.0
    """MiB, of the largest of its stages."""
    size: float = 0.0
    """Of the complete model, over the weights."""
    rates: dict[str, bool] = field(default_factory=lambda: dict.fromkeys(RATES, False))
    reasons: dict[str, str] = field(default_factory=dict)
    """By rate, and `traceback` where a refusal was none of one line."""

    def refuse(self, reason: str, *rates: str) -> "Outcome":
        """Returns itself with the reason why these are not so."""
        for rate in rates:
            self.rates[rate] = False
            self.reasons.setdefault(rate, " ".join(reason.split())[:LONGEST])
        return self

    def as_mapping(self) -> dict[str, Any]:
        return asdict(self)


def outcome_of(net: Net, place: Path, seconds: float, limit: float | None) -> Outcome:
    """Reads what the stages left in the clone; `limit` is what ended it, if it was ended."""
    result, log = Outcome(net.digest, seconds), place / "artifacts/log"
    memory = [json.loads(each.read_text())[1] for each in log.glob("*.json")]
    result.memory = max(memory, default=0.0)
    ended = f"took longer than {limit:.0f} s" if limit else ""
    for name in ("prepare", "train", "checkpoint"):
        if fault := _fault(log / f"{name}.True", ended):
            return result.refuse(f"{name}: {fault}", *RATES)
    result.rates["trains"] = True
    fault = _fault(log / "export-complete.True", ended)
    if fault:
        result.refuse(fault, "trains on")
        if fault := _fault(log / "export-complete.False", ended):
            return result.refuse(fault, *RATES[1:])
    model = place / "artifacts/complete-model"
    result.size = _bytes(model) / max(_weights(place / "artifacts", net.format), 1)
    report = place / "reports/verify.json"
    if not report.is_file():
        verified = log / f"verify.{'trains on' not in result.reasons}"
        return result.refuse(f"verify: {_fault(verified, ended)}", *RATES[1:])
    return judged(net, result, json.loads((model / "formats.json").read_text()), report)


def judged(net: Net, result: Outcome, formats: dict[str, Any], report: Path) -> Outcome:
    """Returns the outcome with what `verify` found."""
    content = json.loads(report.read_text())
    faults = content["faults"]

    def judge(rate: str, name: str, checks: tuple[str, ...]) -> None:
        mine = [f for f in faults if f["check"] in checks and f["format"] in (name, None)]
        result.rates[rate] = not mine
        if mine:
            result.refuse(f"{mine[0]['check']}: {mine[0]['fault']}", rate)

    judge("predicts", net.format, OF_ANSWERS)
    if "trains on" not in result.reasons:
        judge("trains on", net.format, ("continuation",))
    if reason := formats["refused"].get("onnx"):
        result.refuse(reason, "onnx")
    else:
        judge("onnx", "onnx", OF_ANSWERS)
    result.rates["verified"] = bool(content["passed"]) and "trains on" not in result.reasons
    if faults:
        first = faults[0]
        text = f"{first['check']}: {first['format'] or ''}: {first['fault']}"
        result.refuse(text, "verified")
    return result


def _fault(log: Path, ended: str) -> str:
    """Returns why a stage ended badly; "" where it ended well. A traceback is told as one."""
    if not log.is_file():
        return ended or "was not begun"
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    if errors:
        return re.sub(r"^error: [\w-]+: ", "", errors[-1])
    if any(line.startswith("Traceback") for line in lines):
        return f"TRACEBACK: {lines[-1]}"
    end = log.with_name(f"{log.name}.json")
    code = json.loads(end.read_text())[0] if end.is_file() else None
    if code is None:
        return ended or "the process died"
    return f"the process ended with {os.waitstatus_to_exitcode(code)}" if code else ""


def _bytes(folder: Path) -> int:
    return sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())


def _weights(artifacts: Path, form: str) -> int:
    """Returns the bytes of the trained net's tensors; of a large one, of which the reference has
    digests, those that the format has."""
    with np.load(artifacts / "checkpoint/reference/trained.npz") as trained:
        names = [name for name in trained.files if "net/" in name]
        if not any(name.startswith("digest/") for name in names):
            return sum(trained[name].nbytes for name in names)
    places = loader(form).weights(artifacts / "complete-model")
    return sum(place[2] for place in set(places.values()))

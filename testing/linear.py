"""A linear classifier as a complete model, in ONNX alone: its processes start in half a second."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pipeline import provenance
from pipeline.config.params import VerifyParams
from pipeline.config.reading import read
from pipeline.errors import VerificationFailed
from pipeline.formats import declared
from pipeline.sandbox.worker.perturbation import changed, fingerprint
from pipeline.training.decision import Decision
from pipeline.verification import checks
from pipeline.verification.answers import collect_answers
from pipeline.verification.evidence import Evidence, read_evidence
from pipeline.verify import verify

FEATURES, CLASSES, ROWS = 4, 3, 40
CHECKS = ("integrity", "self_contained", "parity", "deterministic", "sensitivity")
CHECKS += ("odd_inputs", "metrics", "continuation")
LIMITS = {"memory_gib": 4.0, "minutes": 2.0, "file_gib": 1.0}

Node = tuple[str, list[str], list[str], dict[str, Any]]
GEMM: Node = ("Gemm", ["pixels", "weight", "bias"], ["logits"], {})


def weight() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(FEATURES, CLASSES)).astype(np.float32)


def bias() -> np.ndarray:
    return np.linspace(-1, 1, CLASSES, dtype=np.float32)


SCALED: Node = ("Div", ["pixels", "two"], ["halved"], {})
HALVES = (SCALED, ("Gemm", ["halved", "weight", "bias"], ["logits"], {}))
OTHERWISE = {
    "swapped classes": ([GEMM], {"weight": weight()[:, [1, 0, 2]], "bias": bias()[[1, 0, 2]]}),
    "another normalisation": (
        HALVES,
        {"weight": weight(), "bias": bias(), "two": np.full(1, 2, np.float32)},
    ),
    "stale weights": ([GEMM], {"weight": weight() * np.float32(1.01), "bias": bias()}),
}
"""Graphs that answer otherwise than this model, and their arrays."""


def pixels() -> np.ndarray:
    return np.random.default_rng(2).normal(size=(ROWS, FEATURES)).astype(np.float32)


def logits(rows: np.ndarray) -> np.ndarray:
    return rows @ weight() + bias()


@dataclass(frozen=True)
class Linear:
    """The directories that `verify` is given; whatever is done to them stays on the disk."""

    root: Path

    @property
    def complete_model(self) -> Path:
        return self.root / "complete-model"

    @property
    def checkpoint(self) -> Path:
        return self.root / "checkpoint"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def report(self) -> Path:
        return self.root / "reports" / "verify.json"

    def verify(self, **changes: Any) -> dict[str, Any]:
        """The report of a verification that must have failed, or passed, as it says itself."""
        self.report.parent.mkdir(exist_ok=True)
        failed = False
        try:
            verify(self.complete_model, self.checkpoint, self.data, self.report, params(**changes))
        except VerificationFailed:
            failed = True
        found: dict[str, Any] = json.loads(self.report.read_text())
        assert found["passed"] is not failed
        return found

    def evidence(self, answered: bool = True, **changes: Any) -> Evidence:
        promises = {"onnx": declared("onnx").promises.as_mapping() | {"trainable": False}}
        arguments = (self.complete_model, self.checkpoint, self.data, params(**changes), promises)
        found = read_evidence(*arguments)
        return collect_answers(found, self.data) if answered else found

    def judge(self, check: str, **changes: Any) -> list[str]:
        """The faults that one check finds in fresh answers."""
        return faults(check, self.evidence(**changes))

    def seal(self) -> None:
        """Statements that fit whatever lies there now, as if it had been made so."""
        provenance.write(self.checkpoint, definition(model={"name": "linear"}))
        dep = {
            "name": "artifacts/checkpoint",
            "digest": {"sha256": provenance.digest(self.checkpoint)},
        }
        provenance.write(self.complete_model, definition(dep))

    def graph(self, *nodes: Node, **initializers: np.ndarray) -> None:
        """Writes model.onnx anew."""
        (self.complete_model / "model.onnx").write_bytes(graph(*nodes, **initializers))


def faults(check: str, evidence: Evidence) -> list[str]:
    return [fault.text for fault in checks.named(check).check(evidence).faults]


def definition(*deps: dict[str, Any], **sections: Any) -> dict[str, Any]:
    return {
        "buildType": "urn:complete-models:stage:v1",
        "externalParameters": {"stage": "test", "params": sections},
        "internalParameters": {},
        "resolvedDependencies": list(deps),
    }


def params(
    checks: tuple[str, ...] = CHECKS,
    atol: float = 1e-4,
    rtol: float = 1e-4,
    limits: Mapping[str, float] = LIMITS,
    trusted_keys: tuple[str, ...] = (),
) -> VerifyParams:
    accuracy = {"_target_": "sklearn.metrics.accuracy_score"}
    train = {"epochs": 1, "batch_size": 8, "lr": 0.1, "seed": 0, "device": "cpu", "threads": 1}
    train |= {
        "clip_norm": None,
        "parent": None,
        "early_stopping": None,
        "keep": None,
        "start": None,
        "start_with": "weights",
        "new_weights": [],
        "adapter": None,
        "command": None,
        "code": [],
        "arguments": {},
        "checkpoint": None,
        "history": None,
        "accumulate": 1,
        "schedule_by": "epoch",
        "freeze": [],
        "averaging": None,
        "precision": "float32",
        "class_weights": None,
        "metrics": {"accuracy": accuracy},
    }
    allowed = {"onnx": {"atol": atol, "rtol": rtol}}
    verifying = {"checks": list(checks), "tolerance": allowed, "continuation": allowed}
    verifying |= {"limits": dict(limits), "trusted_keys": list(trusted_keys)}
    return read(VerifyParams, {"train": train, "verify": verifying})


def graph(*nodes: Node, **initializers: np.ndarray) -> bytes:
    """pixels (rows, FEATURES) to logits (rows, CLASSES)."""
    given = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["rows", FEATURES])
    taken = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["rows", CLASSES])
    made = helper.make_graph(
        [helper.make_node(kind, a, b, **attributes) for kind, a, b, attributes in nodes],
        "linear",
        [given],
        [taken],
        [numpy_helper.from_array(array, name) for name, array in initializers.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def make(root: Path) -> Linear:
    found = Linear(root)
    for folder in (
        "complete-model/examples",
        "checkpoint/reference",
        "data/test/inputs",
        "data/test/targets",
    ):
        (root / folder).mkdir(parents=True)
    rows = pixels()
    target = logits(rows).argmax(axis=1)
    target[:4] = (target[:4] + 1) % CLASSES  # so that it is right on nine rows in ten
    _write_schemas(found)
    np.save(found.data / "test/inputs/pixels.npy", rows)
    np.save(found.data / "test/targets/label.npy", target)
    edge = np.stack([rows.min(0), rows.max(0), rows.min(0) * 0, rows.min(0) * 4, rows.max(0) * 4])
    batches = {"one": rows[:1], "seven": rows[:7], "many": rows[:16], "edge": edge}
    for name, batch in batches.items():
        arrays = {"input.pixels": batch, "output.logits": logits(batch)}
        np.savez(found.checkpoint / f"reference/{name}.npz", **arrays)
    for name in ("one", "seven"):
        content = (found.checkpoint / f"reference/{name}.npz").read_bytes()
        (found.complete_model / f"examples/{name}.npz").write_bytes(content)
    (found.complete_model / "README.md").write_text("A model to be verified.\n")
    write_steps(found.checkpoint / "reference")
    write_questions(found.checkpoint / "reference", rows[:1])
    write_influence(found.checkpoint / "reference", rows[:7])
    kept = {"held": ["onnx"], "trains": [], "refused": {}}
    (found.complete_model / "formats.json").write_text(json.dumps(kept))
    found.graph(GEMM, weight=weight(), bias=bias())
    found.seal()
    return found


def write_questions(reference: Path, row: np.ndarray, refusal: str = "") -> None:
    """A NaN, which the classifier answers with NaN, or refuses."""
    odd = row.copy()
    odd.flat[0] = np.nan
    arrays = {"question": np.array(["pixels has a NaN"]), "refusal": np.array([refusal])}
    np.savez(
        reference / "questions.npz", **arrays, **{"input.pixels": odd, "output.logits": logits(odd)}
    )


def write_influence(reference: Path, rows: np.ndarray, strength: float = 0.01) -> None:
    """What the classifier answers with its weight changed, as `checkpoint` records it."""
    answers = rows @ changed(weight(), strength) + bias()
    arrays = {"moving": np.array(["weight"]), "strength": np.array([strength])}
    arrays |= {"moving.print": np.array([fingerprint(weight())], np.uint64)}
    arrays |= {"moving.bytes": np.array([weight().nbytes])}
    arrays |= {"still": np.array([], str), "still.print": np.array([], np.uint64)}
    arrays |= {"still.bytes": np.array([], int), "output.logits": answers[None]}
    arrays |= {"moved": np.array([np.abs(answers - logits(rows)).max()])}
    np.savez(reference / "influence.npz", **arrays)


def write_steps(reference: Path) -> None:
    """What a plain gradient descent on the linear classifier's squared error goes through."""
    rows, moved, losses = pixels(), weight(), []
    sizes = [4, 3, 4, 3, 4, 3]
    step = np.repeat(np.arange(len(sizes)), sizes)
    target = rows[: len(step)].sum(axis=1)
    for number in range(len(sizes)):
        mine = rows[: len(step)][step == number]
        off = (mine @ moved).sum(axis=1) - target[step == number]
        losses.append((off**2).mean())
        moved = moved - np.float32(0.01) * (mine.T @ off)[:, None]
    every = {"input.pixels": rows[: len(step)], "target.label": target, "step": step}
    ends = np.arange(len(sizes)) == 2
    np.savez(reference / "training.npz", loss=np.stack(losses), ends_epoch=ends, **every)
    state = {"state/net/weight": moved, "state/optimizer/weight/momentum_buffer": moved - weight()}
    answers = {"answers/logits": rows[:7] @ moved + bias()}
    np.savez(reference / "trained.npz", **state, **answers)


def _write_schemas(found: Linear) -> None:
    given = {"pixels": {"dtype": "float32", "shape": [FEATURES]}}
    label = {"dtype": "int64", "shape": [], "classes": CLASSES, "labels": None}
    schema = {
        "inputs": given,
        "targets": {"label": label},
        "rows": {"train": 0, "val": 0, "test": ROWS},
    }
    (found.data / "schema.json").write_text(json.dumps(schema))
    outputs = {"logits": {"dtype": "float32", "shape": [CLASSES]}}
    schema |= {"outputs": outputs, "sources": ["models"], "epoch": 1, "seed": 5}
    decision = Decision(output="logits", target="label", kind="argmax", classes=CLASSES)
    schema |= {"decisions": {"accuracy": decision.as_mapping()}}
    schema |= {"predictions": decision.as_mapping()}
    for directory in (found.checkpoint, found.complete_model):
        (directory / "schema.json").write_text(json.dumps(schema))
        metrics = {"test/loss": 0.5, "test/accuracy": 0.9}
        (directory / "metrics.json").write_text(json.dumps(metrics))

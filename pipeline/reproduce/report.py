"""What came of a reproduction, and its JSON."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipeline.provenance.lineage import Node
from pipeline.reproduce.cause import UPSTREAM, Cause, likely
from pipeline.reproduce.code import Code, Repository
from pipeline.reproduce.compare import Difference, Stage, Verdict
from pipeline.reproduce.inputs import Input

CHANCE = (
    "nothing that the statements record differs: another kind of CPU, or a computation that is not "
    "deterministic"
)


@dataclass
class Report:
    what: str
    source: Repository
    nodes: list[Node]
    """Upstream first."""
    codes: list[Code]
    keep: Path | None
    rebuilt_environment: bool = False
    environment: list[Cause] = field(default_factory=list)
    """How the one that ran differs from the recorded one."""
    inputs: dict[str, Input] = field(default_factory=dict)
    unrecorded: list[str] = field(default_factory=list)
    """Sections of params.yaml that no statement has."""
    stages: list[tuple[Stage, float]] = field(default_factory=list)
    """With the seconds that each took."""
    predictions: dict[str, Any] | None = None
    verified: bool | None = None
    verify_seconds: float = 0.0
    notes: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        return max(stage.verdict for stage, _ in self.stages)

    @property
    def same(self) -> bool:
        return self.verdict <= Verdict.SAME_CONTENT and self.verified is not False

    @property
    def first(self) -> tuple[Stage, Difference] | None:
        """Returns the stage and file in which the rebuilt chain leaves the recorded one."""
        for stage, _ in self.stages:
            for each in stage.differences:
                if each.verdict > Verdict.SAME_CONTENT:
                    return stage, each
        return None

    @property
    def causes(self) -> list[Cause]:
        """Returns the causes of the first divergence, or else of statements that differ over the
        same content."""
        if self.first:
            return likely(self.first[0].statement)
        causes = (cause for stage, _ in self.stages for cause in stage.statement)
        return list({str(each): each for each in causes if each.kind != UPSTREAM}.values())

    @property
    def cause(self) -> str | None:
        if self.first and not self.causes:
            gpu = self.first[0].name == "train" and _device(self.nodes) != "cpu"
            return f"{CHANCE}{', as on a GPU it often is not' if gpu else ''}"
        return "; ".join(str(each) for each in self.causes) or None

    def as_json(self) -> dict[str, Any]:
        last, code = self.nodes[-1], self.codes[-1]
        return {
            "what": self.what,
            "result": "same" if self.same else "different",
            "verdict": str(self.verdict),
            "artifact": last.digest,
            "repository": str(self.source.project),
            "commit": code.commit,
            "patch": last.patch,
            "environment": {
                "rebuilt": self.rebuilt_environment,
                "differs": [asdict(each) for each in self.environment],
            },
            "inputs": [asdict(each) for each in self.inputs.values()],
            "params_of_the_commit": self.unrecorded,
            "stages": [_stage(stage, seconds) for stage, seconds in self.stages],
            "verify": None
            if self.verified is None
            else {"passed": self.verified, "seconds": round(self.verify_seconds, 2)},
            "predictions": self.predictions,
            "first_divergence": self.first
            and {"stage": self.first[0].name, **_difference(self.first[1])},
            "causes": [asdict(each) for each in self.causes],
            "cause": self.cause,
            "notes": self.notes,
            "kept": str(self.keep) if self.keep else None,
        }


def _device(nodes: list[Node]) -> str:
    for node in nodes:
        if "train" in node.params:
            return str(node.params["train"].get("device", "cpu"))
    return "cpu"


def _stage(stage: Stage, seconds: float) -> dict[str, Any]:
    return {
        "stage": stage.name,
        "verdict": str(stage.verdict),
        "seconds": round(seconds, 2),
        "recorded": stage.recorded,
        "rebuilt": stage.rebuilt,
        "files": stage.files,
        "original_at_hand": stage.original,
        "differences": [_difference(each) for each in stage.differences],
        "statement": [asdict(each) for each in stage.statement],
    }


def _difference(difference: Difference) -> dict[str, Any]:
    return {**asdict(difference), "verdict": str(difference.verdict)}

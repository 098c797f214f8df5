"""params.yaml becomes frozen dataclasses; a field says what its value means, its unit and range."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pipeline.config import distributed_params, metric_names
from pipeline.config.bounds import Plugin, Range
from pipeline.config.data_params import Data
from pipeline.config.model_params import LossTerm as LossTerm
from pipeline.config.model_params import Model as Model
from pipeline.config.train_params import Averaging as Averaging
from pipeline.config.train_params import EarlyStopping as EarlyStopping
from pipeline.config.train_params import Metric as Metric
from pipeline.config.train_params import Train as Train
from pipeline.errors import ParamsError
from pipeline.provenance.addresses import without_login

REGISTERED = re.compile(r"[\w -]+")


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    metric: str
    """The column of history.csv that chooses the epoch."""
    mode: Literal["min", "max"]
    many: Annotated[int, Range(least=8)]
    """Rows of the largest batch of the reference; the others have 1 and 7."""
    steps: Annotated[int, Range(least=5)]
    """That the source takes on from the chosen epoch, for the check continuation to take after."""
    batch_sizes: tuple[Annotated[int, Range(least=1)], ...]
    """Rows of these steps, in turn; two sizes at least."""


@dataclass(frozen=True, kw_only=True)
class Runtimes:
    """Programs in other languages that the complete model carries, and that were run with it."""

    required: tuple[Annotated[str, Plugin("runtimes")], ...]
    """Each must run here and answer as the trained model does, or the stage fails."""
    attempt: tuple[Annotated[str, Plugin("runtimes")], ...]
    """Carried if they do; one that is not installed, or cannot run this model, is reported."""


@dataclass(frozen=True, kw_only=True)
class Export:
    formats: tuple[Annotated[str, Plugin("formats")], ...]
    """Each must hold the model, or the stage fails."""
    attempt: tuple[Annotated[str, Plugin("formats")], ...]
    """Tried as well if they take the framework's models; one that cannot hold this model is
    reported and left out."""
    train: bool
    """Whether formats that can be trained on hold the step and the optimizer's state, too."""
    runtimes: Runtimes


@dataclass(frozen=True, kw_only=True)
class Lineage:
    strict: bool
    """Whether a model is exported only if a commit alone names its code: that of the export and of
    every stage before it."""


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """|candidate - baseline| <= atol + rtol * |baseline|; integers compare exactly. Where a row's
    largest value is beyond 10, atol is a tenth of it times as much."""

    atol: Annotated[float, Range(least=0)]
    rtol: Annotated[float, Range(least=0)]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Of each process that loads a model; one that goes beyond is ended, and a line says why."""

    memory_gib: Annotated[float, Range(above=0)]
    """In use; the framework's own is 0.3 to 0.8, to which the model comes up to four times."""
    minutes: Annotated[float, Range(above=0)]
    """From its start to its end."""
    file_gib: Annotated[float, Range(above=0)]
    """That it writes, all files together: a copy of the model whose weights are perturbed, and its
    answers."""


@dataclass(frozen=True, kw_only=True)
class Verify:
    checks: tuple[Annotated[str, Plugin("verification.checks")], ...]
    tolerance: Mapping[Annotated[str, Plugin("formats")], Tolerance]
    """Of answers, by format, in place of the format's own."""
    continuation: Mapping[Annotated[str, Plugin("formats")], Tolerance]
    """Of losses, weights, optimizer's state and answers after more training, in place of the
    format's own."""
    limits: Limits
    trusted_keys: tuple[str, ...]
    """Files of public keys (PEM, P-256 or P-384), of which one must have signed a complete model
    before any file of it is parsed (`python -m pipeline.sign`); empty asks for no signature."""


@dataclass(frozen=True, kw_only=True)
class Tracking:
    name: str
    uri: str | None
    """MLflow's tracking URI; null is mlflow.db in the repository. A login is not part of it: MLflow
    takes MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN."""
    experiment: str
    register: str | None
    """The registered model of which the complete model becomes a version; null registers none."""
    promote: Literal["better", "always", "never"]
    """When the alias `verified` moves to the new version: unless its metric on the test split is
    worse than that of the version it names, in any case, or not at all. The metric is that of
    checkpoint.metric, and checkpoint.mode says what is worse."""
    upload: Literal["files", "reference"]
    """Whether MLflow gets the complete model's files, or where they are in DVC."""

    def __post_init__(self) -> None:
        if self.uri is not None and _opens(self.uri):
            raise ParamsError(
                "tracking.uri: found a login in it, or a query, which can hold one; expected none, "
                "for every artifact and run would tell it; set MLFLOW_TRACKING_USERNAME and "
                "MLFLOW_TRACKING_PASSWORD"
            )
        if self.register is not None and not REGISTERED.fullmatch(self.register):
            raise ParamsError(
                f"tracking.register: found {self.register!r}, expected a name that fits into "
                "models:/<name>@verified: letters, digits, space, - and _"
            )
        if self.register and self.upload == "reference":
            raise ParamsError(
                "tracking.register: a model whose files are not uploaded cannot be served from the "
                "registry; set tracking.upload=files, or tracking.register=null"
            )


def _opens(uri: str) -> bool:
    """Returns whether somebody who reads the address could log in with it."""
    local = uri.startswith("sqlite:")
    return bool(re.search("//[^/]*@", uri)) or (not local and without_login(uri) != uri)


@dataclass(frozen=True, kw_only=True)
class PrepareParams:
    data: Data


def _demand_start(model: Model, train: Train) -> None:
    """Raises ParamsError for a program that is nowhere, or is to take steps."""
    if not model.program:
        return
    if train.start is None:
        raise ParamsError(
            f"model.program: found {model.program}, but train.start is null; take the program in "
            "with `python -m pipeline.adopt <program>`"
        )
    if train.adapter is not None:
        raise ParamsError(
            "train.adapter: found one, expected null: model.program predicts alone, and has no "
            "layers that one could be added to"
        )
    if train.epochs:
        raise ParamsError(
            f"train.epochs: found {train.epochs}, expected 0: model.program predicts alone, and "
            "takes no steps"
        )


@dataclass(frozen=True, kw_only=True)
class TrainParams:
    model: Model
    train: Train

    def __post_init__(self) -> None:
        _demand_start(self.model, self.train)
        distributed_params.demand_consistent(self.model, self.train)


@dataclass(frozen=True, kw_only=True)
class CheckpointParams(TrainParams):
    checkpoint: Checkpoint


@dataclass(frozen=True, kw_only=True)
class ExportParams:
    model: Model
    train: Train
    export: Export
    lineage: Lineage


@dataclass(frozen=True, kw_only=True)
class VerifyParams:
    train: Train
    verify: Verify


@dataclass(frozen=True, kw_only=True)
class TrackingParams:
    tracking: Tracking


@dataclass(frozen=True, kw_only=True)
class Params:
    """The whole of params.yaml: a section a config group."""

    data: Data
    model: Model
    train: Train
    checkpoint: Checkpoint
    export: Export
    lineage: Lineage
    verify: Verify
    tracking: Tracking

    def __post_init__(self) -> None:
        _demand_start(self.model, self.train)
        distributed_params.demand_consistent(self.model, self.train)
        if self.data.made_up and self.train.metrics:
            raise ParamsError(
                f"train.metrics: found {', '.join(self.train.metrics)}, but data.made_up says that "
                "the rows are made up; expected none: train.metrics={}"
            )
        if len(set(self.checkpoint.batch_sizes)) < 2:
            sizes = list(self.checkpoint.batch_sizes)
            raise ParamsError(f"checkpoint.batch_sizes: found {sizes}, expected two sizes at least")
        metric_names.demand_column("checkpoint.metric", self.checkpoint.metric, self.train.metrics)
        if early := self.train.early_stopping:
            key = "train.early_stopping.metric"
            metric_names.demand_column(key, early.metric, self.train.metrics)

"""One training over many processes: the keys of `train.distributed`, and what goes with none."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pipeline.config.bounds import Range
from pipeline.errors import ParamsError

if TYPE_CHECKING:
    from pipeline.config.model_params import Model
    from pipeline.config.train_params import Train

TRAIN_OVER_RANKS = ("pytorch",)
"""Frameworks that do; this is asked before any of them is loaded."""


@dataclass(frozen=True, kw_only=True)
class Distributed:
    """Processes that take each step together, each of its own rows."""

    processes: Annotated[int, Range(least=1)]
    """Ranks; one trains as ever. Another number gives other bits, but for rounding the same."""
    strategy: Literal["ddp", "fsdp"]
    """Each rank has the whole net (ddp), or a part of each weight and of its optimizer's state."""
    nodes: Annotated[int, Range(least=1)]
    """Machines, each with as many of the ranks: `train` runs on the first, the others join it."""
    timeout: Annotated[int, Range(least=5)]
    """Seconds that ranks wait for one of them before it is taken to hang."""


def demand_consistent(model: "Model", train: "Train") -> None:
    """Raises ParamsError for what one process can do and several together cannot."""
    if train.distributed.processes % train.distributed.nodes:
        raise ParamsError(
            f"train.distributed.nodes: found {train.distributed.nodes} for "
            f"train.distributed.processes={train.distributed.processes}, expected a number that "
            "divides it: each machine has as many ranks"
        )
    if train.distributed.processes == 1:
        return
    for key, (value, wrong, expected) in _conditions(model, train).items():
        if wrong:
            raise ParamsError(
                f"{key}: found {value} with train.distributed.processes="
                f"{train.distributed.processes}, expected {expected}; or set "
                "train.distributed.processes=1"
            )


def _conditions(model: "Model", train: "Train") -> dict[str, tuple[Any, bool, str]]:
    """Returns key -> what it is, whether that is wrong, and what is expected instead."""
    one = "one"
    return {
        "train.command": (
            train.command,
            train.command is not None,
            "null: a command starts its own ranks (torchrun)",
        ),
        "model.program": (
            model.program,
            model.program is not None,
            "null: a program takes no steps",
        ),
        "model.framework": (
            model.framework,
            model.framework not in TRAIN_OVER_RANKS,
            "pytorch: Keras' fit fails under MultiWorkerMirroredStrategy, and its steps are traced "
            "here for one process",
        ),
        "train.parent": (
            one,
            train.parent is not None,
            "null: the program in a complete model trains on in one process",
        ),
        "train.epochs": (train.epochs, not train.epochs, "one at least"),
        "train.device": (
            train.device,
            train.device != "cpu",
            "cpu: ranks meet over gloo; nothing has shown yet what they do on several GPUs",
        ),
        "train.adapter": (
            one,
            train.adapter is not None and train.distributed.strategy == "fsdp",
            "null, or train.distributed.strategy=ddp: no rank of fsdp has a whole weight, and an "
            "adapter is merged with one",
        ),
        "train.precision": (
            train.precision,
            train.precision == "float16",
            "float32 or bfloat16: ranks would have to agree on the scale of the loss",
        ),
    }

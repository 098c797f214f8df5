"""One training over many processes, or over many replicas in one: the keys of `train.distributed`,
and what goes with none."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pipeline.config.bounds import Range
from pipeline.errors import ParamsError

if TYPE_CHECKING:
    from pipeline.config.model_params import Model
    from pipeline.config.train_params import Train

TRAIN_OVER_RANKS = ("pytorch",)
"""Frameworks that do, each rank a process; this is asked before any of them is loaded."""
TRAIN_OVER_REPLICAS = ("keras",)
"""Frameworks that have several copies of the net in one process instead."""


@dataclass(frozen=True, kw_only=True)
class Distributed:
    """Ranks that take each step together, each of its own rows: processes, or replicas in one."""

    processes: Annotated[int, Range(least=1)]
    """Ranks; one trains as ever. Another number gives other bits, but for rounding the same. With
    Keras they are replicas in one process, each with `threads`."""
    strategy: Literal["ddp", "fsdp"]
    """Each rank has the whole net (ddp), or a part of each weight and of its optimizer's state."""
    nodes: Annotated[int, Range(least=1)]
    """Machines, each with as many of the ranks: `train` runs on the first, the others join it."""
    timeout: Annotated[int, Range(least=5)]
    """Seconds that ranks wait for one of them before it is taken to hang."""


def ranks(model: "Model", train: "Train") -> int:
    """Returns how many processes take each step together."""
    return train.distributed.processes if model.framework in TRAIN_OVER_RANKS else 1


def replicas(model: "Model", train: "Train") -> int:
    """Returns how many copies of the net in one process take each step together."""
    return train.distributed.processes if model.framework in TRAIN_OVER_REPLICAS else 1


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
    conditions = _of_both(model, train)
    if model.framework in TRAIN_OVER_REPLICAS:
        conditions |= _of_replicas(train)
    else:
        conditions |= _of_ranks(train)
    for key, (value, wrong, expected) in conditions.items():
        if wrong:
            raise ParamsError(
                f"{key}: found {value} with train.distributed.processes="
                f"{train.distributed.processes}, expected {expected}; or set "
                "train.distributed.processes=1"
            )


ONE = "one"
"""Stands for a value that is long."""
Conditions = dict[str, tuple[Any, bool, str]]
"""Key -> what it is, whether that is wrong, and what is expected instead."""


def _of_both(model: "Model", train: "Train") -> Conditions:
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
            model.framework not in (*TRAIN_OVER_RANKS, *TRAIN_OVER_REPLICAS),
            "pytorch, whose ranks are processes, or keras, whose replicas are of one",
        ),
        "train.parent": (
            ONE,
            train.parent is not None,
            "null: the program in a complete model trains on in one process",
        ),
        "train.epochs": (train.epochs, not train.epochs, "one at least"),
        "train.device": (
            train.device,
            train.device != "cpu",
            "cpu: nothing has shown yet what several GPUs do together",
        ),
    }


def _of_ranks(train: "Train") -> Conditions:
    return {
        "train.adapter": (
            ONE,
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


def _of_replicas(train: "Train") -> Conditions:
    distributed = train.distributed
    return {
        "train.distributed.strategy": (
            distributed.strategy,
            distributed.strategy != "ddp",
            "ddp: each of Keras' replicas has the whole net, and nothing takes a weight apart",
        ),
        "train.distributed.nodes": (
            distributed.nodes,
            distributed.nodes > 1,
            "1: Keras' replicas are of one process, and its fit fails under "
            "MultiWorkerMirroredStrategy",
        ),
    }

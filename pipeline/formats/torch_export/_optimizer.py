"""Optimizer and scheduler are made here out of what `optimizer.pt` holds."""

from typing import Any

from ._names import OPTIMIZER


def restore(saved: dict[str, Any], weights: dict[str, Any]) -> tuple[Any, Any]:
    """Returns optimizer and scheduler over `weights`, as they were; None where there is none."""
    import torch

    groups = [{"params": [weights[name] for name in names]} for names in saved["params"]]
    kind = _class(saved["class"], torch.optim, torch.optim.Optimizer)
    optimizer, scheduler = kind(groups, **saved["arguments"]), None
    if saved["scheduler"] is not None:
        scheduler = _scheduler(saved["scheduler"], optimizer)
    optimizer.load_state_dict(saved["state"])  # a scheduler has changed it as it was made
    return optimizer, scheduler


def scaler_of(stepping: dict[str, Any]) -> Any:
    """Returns what scales the loss, as it was; None where nothing does."""
    import torch

    if "scaling" not in stepping:
        return None
    scaler = torch.amp.GradScaler("cpu")
    scaler.load_state_dict(stepping["scaling"])
    return scaler


def advance(scheduler: Any, val_loss: float = float("nan")) -> None:
    """Brings the learning rate to the next, as the source does: what goes by a metric
    gets `val_loss`, and a schedule that has come to its end stays there."""
    import torch

    if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
        scheduler.step(val_loss)
    elif scheduler is not None and not _has_ended(scheduler):
        scheduler.step()


def _has_ended(scheduler: Any) -> bool:
    import torch

    one_cycle = isinstance(scheduler, torch.optim.lr_scheduler.OneCycleLR)
    return one_cycle and scheduler.last_epoch >= scheduler.total_steps


def _scheduler(saved: dict[str, Any], optimizer: Any) -> Any:
    import torch

    kinds = torch.optim.lr_scheduler
    scheduler = _class(saved["class"], kinds, kinds.LRScheduler)(optimizer, **saved["arguments"])
    scheduler.load_state_dict(saved["state"])
    return scheduler


def _class(name: str, package: Any, base: type) -> Any:
    """Raises ValueError where the file names anything but a class of its kind."""
    kind = getattr(package, name, None)
    if not (isinstance(kind, type) and issubclass(kind, base)):
        raise ValueError(
            f"{OPTIMIZER}: {name!r} is no {base.__name__} of {package.__name__}; do not load it"
        )
    return kind

"""What changes answers or gradients of a net and is in none of its programs is refused by name."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def demand_not_compiled(net: "nn.Module") -> None:
    """Raises ValueError where a part is compiled: a program holds it as it was before, which
    computes with other last bits."""
    from torch import nn

    for name, part in _plain_parts(net):
        whole = getattr(part, "_orig_mod", None)
        if part._compiled_call_impl is not None or isinstance(whole, nn.Module):
            what = f"its part {name}" if name else "the net"
            raise ValueError(
                f"torch_export: {what} is compiled (torch.compile), and answers with other last "
                "bits than its program; train it as it is, and compile what you load"
            )


def _plain_parts(net: "nn.Module") -> "list[tuple[str, nn.Module]]":
    """Returns the parts that are of Python alone: what is TorchScript is told by the trace."""
    from torch.jit import ScriptModule

    return [each for each in net.named_modules() if not isinstance(each[1], ScriptModule)]


def demand_no_late_hooks(net: "nn.Module") -> None:
    """Raises ValueError where a hook comes after a gradient, and may do anything."""
    for name, weight in net.named_parameters():
        if getattr(weight, "_post_accumulate_grad_hooks", None):
            raise ValueError(refused_hook(name))


def hooked(net: "nn.Module") -> list[str]:
    """Returns which weights and parts have a hook that may change a gradient on its way."""
    parts = [
        f"its part {name}" if name else "the net"
        for name, part in _plain_parts(net)
        if part._backward_hooks or part._backward_pre_hooks
    ]
    return parts + [name for name, weight in net.named_parameters() if weight._backward_hooks]


def refused_hook(what: str) -> str:
    """Returns what is said of a hook without which a program would train otherwise."""
    return (
        f"torch_export: {what} has a hook on its gradient, which no program holds; compute it in "
        "forward (x + (f(x) - x).detach() passes a gradient straight through), or clip by "
        "train.clip_norm"
    )

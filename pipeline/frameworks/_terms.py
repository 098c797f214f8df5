"""A loss gets what it compares: outputs, targets and inputs by name."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Compared:
    """What a function of the loss is called with."""

    names: tuple[str, ...]
    """Of outputs, targets and inputs."""
    keywords: tuple[str, ...] = ()
    """The parameters that they are handed over as; none where they go by position."""
    together: bool = False
    """The first argument is the tuple of all names but the last, as the net returns it."""

    def call(self, function: Callable[..., Any], values: Mapping[str, Any]) -> Any:
        """Returns the function's value."""
        arguments = [values[name] for name in self.names]
        if self.together:
            return function(tuple(arguments[:-1]), arguments[-1])
        if self.keywords:
            return function(**dict(zip(self.keywords, arguments, strict=True)))
        return function(*arguments)


def compared(
    key: str,
    function: Callable[..., Any],
    compares: Sequence[str],
    outputs: Sequence[str],
    targets: Sequence[str],
    inputs: Sequence[str],
) -> Compared:
    """Returns what the loss of parameter `key` is called with: what `compares` names, what its own
    parameters are called, or the only output with the only target.

    Raises ValueError, one line, where that is not known.
    """
    names = [*outputs, *targets, *inputs]
    if unknown := [name for name in compares if name not in names]:
        raise ValueError(
            f"{key}.compares: found {unknown[0]}, expected outputs, targets or inputs: "
            f"{', '.join(names)}"
        )
    if both := [name for name in compares if name in outputs and name in inputs]:
        raise ValueError(
            f"{key}.compares: found {both[0]}, which is an output and an input; give the output "
            "another name in model.outputs"
        )
    if compares:
        return Compared(tuple(compares))
    term = key.removeprefix("model.loss").removeprefix(".")
    if term in outputs and len(targets) == 1:
        return Compared((term, targets[0]))
    parameters = _parameters(function)
    required = [p.name for p in parameters if p.default is p.empty]
    if parameters and all(name in names for name in required):
        taken = tuple(p.name for p in parameters if p.name in names)
        if set(taken) & {*outputs, *targets}:
            return Compared(taken, taken)
    if len(targets) == 1 and outputs:
        return Compared((*outputs, targets[0]), together=len(outputs) > 1)
    raise ValueError(
        f"{key}: its parameters are {required or 'unknown'}, but there are the outputs "
        f"{list(outputs)} and the targets {list(targets)}; name its parameters like these, or say "
        "in `compares` what it is called with"
    )


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    called = getattr(function, "forward", function)
    try:
        return [p for p in inspect.signature(called).parameters.values() if p.kind in kinds]
    except ValueError:  # of a function written in C
        return []

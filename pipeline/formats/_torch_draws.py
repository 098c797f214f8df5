"""Which lines of a net ask what it has drawn, as whether to skip a layer: neither way is right for
every step, so that its refusal says so."""

from typing import Any

from ._torch_errors import asking_line

DRAWS = {
    *("rand", "rand_like", "randn", "randn_like", "randint", "randint_like", "randperm"),
    *("bernoulli", "bernoulli_", "normal", "normal_", "uniform_", "random_", "multinomial"),
}
READS = {"__bool__", "__float__", "__int__", "item", "tolist"}


def noting_draws(lines: set[str]) -> Any:
    """Returns a context in which `lines` gets each line of the model that reads a number which
    hangs on nothing but draws."""
    from torch import Tensor
    from torch.overrides import TorchFunctionMode
    from torch.utils._pytree import tree_leaves

    drawn: dict[int, Tensor] = {}  # by id

    class Noting(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            name = getattr(func, "__name__", "")
            leaves = tree_leaves((args, kwargs)) if drawn else []
            tensors = [each for each in leaves if isinstance(each, Tensor)]
            of_draws = bool(tensors) and all(id(each) in drawn for each in tensors)
            if name in READS and of_draws:
                lines.add(asking_line())
            result = func(*args, **(kwargs or {}))
            if isinstance(result, Tensor) and (of_draws or name in DRAWS):
                drawn[id(result)] = result
            return result

    return Noting()

"""What TensorFlow calls a variable in a checkpoint: the way to it from object to object.

There are several ways to most variables, and which one a file names hangs on what else is in it, so
that here the shortest one counts, in the file as in the model.
"""

import re
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

Node = TypeVar("Node", bound=Hashable)
LAYER = "layer_with_weights-"
TRAINABLE = "trainable_variables/"
"""Keras 3 reaches layers in lists and dicts only through the optimizer, which numbers weights."""
ASIDE = re.compile(
    r"(_?optimizer|_?loss_tracker|_compile_metrics|_compile_loss|_?metrics|_?loss|compiled_metrics"
    r"|compiled_loss|keras_api|save_counter|signatures|_?trainable_variables"
    r"|_?non_trainable_variables|_?variables|layer-\d+|root)"
)
"""Edges to what is not the net, or is it a second time."""


def shortest(
    root: Node, children: Callable[[Node], Mapping[str, Node]]
) -> dict[Node, tuple[str, ...]]:
    """Returns the shortest path to each object, of those as long the first in the alphabet."""
    paths: dict[Node, tuple[str, ...]] = {root: ()}
    level = [root]
    while level:
        reached: list[Node] = []
        for node in level:
            for name, child in sorted(children(node).items()):
                if child not in paths:
                    paths[child] = (*paths[node], name)
                    reached.append(child)
        level = reached
    return paths


def is_of_net(name: str) -> bool:
    """Returns whether an edge of this name leads to what belongs to a net."""
    return ASIDE.fullmatch(name) is None

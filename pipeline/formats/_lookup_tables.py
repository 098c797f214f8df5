"""Lookup tables in a TensorFlow graph, told apart by `shared_name`.

TensorFlow makes that name from a counter of the process, and adds to it at each load.
"""

from collections.abc import Iterable
from typing import Any


def number_tables(nodes: Iterable[Any]) -> None:
    """Names tables table_0, table_1 and so on, in the order of the nodes that make them."""
    names: dict[bytes, bytes] = {}
    for node in nodes:
        name = node.attr["shared_name"].s
        node.attr["shared_name"].s = names.setdefault(name, b"table_%d" % len(names))

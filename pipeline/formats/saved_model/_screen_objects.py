"""What the objects of a graph may be, and what they may be called.

A loader makes a Python object of each, and sets its attributes by the names of its children.
"""

from pathlib import Path
from typing import Any

from ._screen_messages import VALUES

NAMED_BY_PEOPLE = {"trackable_dict_wrapper"}
"""Objects whose children are entries, not attributes."""
TABLE = "resource"
"""The kind of object that TensorFlow saves and restores by functions of the graph."""


def check_objects(graph: Any, folder: Path) -> None:
    """Raises ValueError for files, for collections of version 1, and for objects that are none of
    those that are written here."""
    files = [asset.filename for asset in graph.asset_file_def]
    old = set(graph.collection_def) - VALUES["tensorflow.MetaGraphDef.collection_def"]
    if files or old:
        raise ValueError(
            f"{folder}: reads {files or sorted(old)} while loading, expected everything in the "
            "graph (its own export: give vocabularies as lists, not as files)"
        )
    if not graph.object_graph_def.nodes:
        raise ValueError(f"{folder}: holds no objects, so that version 1 would load it")
    for item in graph.object_graph_def.nodes:
        kind = item.user_object.identifier
        if item.saveable_objects and not item.HasField(TABLE):
            raise ValueError(f"{folder}: an object saves itself, and is no table; do not load it")
        if kind in NAMED_BY_PEOPLE:
            continue
        for child in (*item.children, *item.dependencies):
            if child.local_name.startswith("_") and child.local_name not in VALUES["hidden"]:
                raise ValueError(
                    f"{folder}: an object has the attribute {child.local_name[:200]!r}, expected "
                    f"none but {sorted(VALUES['hidden'])}; do not load it"
                )

"""`python -m scripts.known_names [--check]`: what the installed libraries know, and what is let in.

The screens of formats let in what lists name (`operators.txt`, …). Beside each list lies another of
what was looked at and is not let in (`operators_refused.txt`, …). Together they are all that the
libraries know. What a new version adds goes to the refused ones, and a person moves a line.
--check writes nothing: it prints what differs, and ends with 1 where something does.
"""

import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.formats._lists import listed

FORMATS = Path(__file__).resolve().parents[1] / "pipeline/formats"
SAVER = ("MergeV2Checkpoints", "RestoreV2", "SaveV2", "ShardedFilename")
KINDS = {
    "string": "s",
    "int": "i",
    "float": "f",
    "bool": "b",
    "type": "type",
    "shape": "shape",
    "tensor": "tensor",
    "func": "func",
}
"""How an attribute's value is called in AttrValue, by what an operator's definition says."""
SCOPES = ("node", "function", "argument")


def main(arguments: list[str]) -> int:
    """Compares, or writes the lists of what is refused; 1 where something differs."""
    differs = False
    for name, known in KNOWN.items():
        new, gone = difference(name, known())
        for sign, names in (("+", new), ("-", gone)):
            for each in names:
                print(f"{sign} {name}: {each}")
        differs |= bool(new or gone)
        if arguments != ["--check"]:
            _write(name, known())
    return int(differs)


def difference(name: str, known: set[str]) -> tuple[list[str], list[str]]:
    """Returns what no list names, and what a list names that is not there any more."""
    decided = _decided(name)
    return sorted(known - decided), sorted(decided - known)


def _decided(name: str) -> set[str]:
    allowed = {_canonical(line) for line in listed(FORMATS / f"{name}.txt")}
    refused = FORMATS / f"{name}_refused.txt"
    allowed -= {line for line in allowed if line.split()[0] in SCOPES}
    return allowed | (set(listed(refused)) if refused.exists() else set())


def _canonical(line: str) -> str:
    return " ".join(line.split())


def _write(name: str, known: set[str]) -> None:
    allowed = {_canonical(line) for line in listed(FORMATS / f"{name}.txt")}
    text = "".join(f"{each}\n" for each in sorted(known - allowed))
    (FORMATS / f"{name}_refused.txt").write_text(text)


def _definitions() -> Any:
    """Returns the definition of each operator that TensorFlow registers."""
    from tensorflow.core.framework.op_def_pb2 import OpList
    from tensorflow.python.client import pywrap_tf_session

    buffer = pywrap_tf_session.TF_GetAllOpList()
    return OpList.FromString(pywrap_tf_session.TF_GetBuffer(buffer)).op


def operators() -> set[str]:
    return {each.name for each in _definitions()}


def attributes() -> set[str]:
    """Returns name and kind of each attribute that the operators let in declare."""
    allowed = listed(FORMATS / "saved_model/operators.txt") | set(SAVER)
    declared = (each.attr for each in _definitions() if each.name in allowed)
    return {f"operator {each.name} {_kind(each.type)}" for some in declared for each in some}


def _kind(said: str) -> str:
    inner = said.removeprefix("list(").removesuffix(")")
    return f"list:{KINDS[inner]}" if said != inner else KINDS[said]


def fields() -> set[str]:
    """Returns each field of the messages that a SavedModel is made of."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
    from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

    found: dict[str, Any] = {}
    queue = [SavedModel.DESCRIPTOR, TrackableObjectGraph.DESCRIPTOR]
    while queue:
        for field in queue.pop().fields:
            if field.full_name not in found:
                found[field.full_name] = field
                queue += [field.message_type] if field.message_type else []
    return {name for name, field in found.items() if not _of_map(field)}


def _of_map(field: Any) -> bool:
    return bool(field.containing_type.GetOptions().map_entry)


def keras_classes() -> set[str]:
    """Returns each class that Keras' archive can name: of its interface, and where it is written
    those that describe themselves."""
    from keras.src import api_export
    from keras.src.saving.keras_saveable import KerasSaveable

    public = api_export.REGISTERED_NAMES_TO_OBJS.items()
    found = {name for name, each in public if isinstance(each, type)}
    queue = list(KerasSaveable.__subclasses__())
    for kind in queue:
        queue += kind.__subclasses__()
        found.add(f"{kind.__module__}.{kind.__qualname__}")
    return {name for name in found if name.startswith("keras.")}


def keras_functions() -> set[str]:
    """Returns each function of Keras' interface, and those that it finds by their names alone."""
    from keras.src import api_export
    from keras.src.saving.serialization_lib import BUILTIN_MODULES

    public = api_export.REGISTERED_NAMES_TO_OBJS.items()
    found = {name for name, each in public if not isinstance(each, type)}
    modules = tuple(f"keras.{each}." for each in BUILTIN_MODULES)
    alone = {f"builtins.{name.rpartition('.')[2]}" for name in found if name.startswith(modules)}
    return {name for name in found if name.startswith("keras.")} | alone


TABLES = (
    *("Model", "SubGraph", "Operator", "Tensor", "Buffer", "OperatorCode", "SignatureDef"),
    *("Metadata", "TensorMap", "QuantizationParameters"),
)
"""Of LiteRT's schema, those that hold more than an operator's numbers."""


def litert_operators() -> set[str]:
    """Returns number and name of each operator in LiteRT's schema."""
    from tensorflow.lite.python import schema_py_generated as schema

    codes = vars(schema.BuiltinOperator).items()
    return {f"{number} {name}" for name, number in codes if isinstance(number, int)}


def litert_fields() -> set[str]:
    """Returns table, number and name of each field, as the functions that write it have them."""
    from tensorflow.lite.python import schema_py_generated as schema

    written = re.compile(rf"^def ({'|'.join(TABLES)})Add(\w+)\(builder.*\n.*Slot\((\d+),", re.M)
    found = written.findall(inspect.getsource(schema))
    return {f"{table} {number} {name}" for table, name, number in found}


KNOWN: dict[str, Callable[[], set[str]]] = {
    "saved_model/operators": operators,
    "saved_model/attributes": attributes,
    "saved_model/fields": fields,
    "keras_archive/classes": keras_classes,
    "keras_archive/functions": keras_functions,
    "litert/operators": litert_operators,
    "litert/fields": litert_fields,
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

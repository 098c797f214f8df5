"""Renames within a protobuf message: every text and map key, but not in tensors, which are data."""

from collections.abc import Callable
from typing import Any


def rename(message: Any, new: Callable[[str], str]) -> None:
    """Gives each text the name that `new` returns for it."""
    for field, value in message.ListFields():
        if field.message_type is None:
            if field.type in (field.TYPE_STRING, field.TYPE_BYTES):
                _rename_text(message, field.name, value, new)
        elif field.message_type.GetOptions().map_entry:
            _rename_map(value, field.message_type.fields_by_name["value"], new)
        elif field.message_type.full_name != "tensorflow.TensorProto":
            for inner in [value] if hasattr(value, "ListFields") else value:
                rename(inner, new)


def _rename_text(message: Any, name: str, value: Any, new: Callable[[str], str]) -> None:
    def either(text: Any) -> Any:
        if isinstance(text, str):
            return new(text)
        return new(text.decode("latin1")).encode("latin1")  # every byte is a character in it

    if isinstance(value, str | bytes):
        setattr(message, name, either(value))
    else:
        value[:] = [either(text) for text in value]


def _rename_map(entries: Any, kind: Any, new: Callable[[str], str]) -> None:
    texts = kind.type == kind.TYPE_STRING
    for key in sorted(entries):
        name = new(key) if isinstance(key, str) else key
        if kind.message_type is not None:
            rename(entries[key], new)
            if name != key:
                entries[name].CopyFrom(entries[key])
                del entries[key]
        else:
            value = entries.pop(key)
            entries[name] = new(value) if texts else value

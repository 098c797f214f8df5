"""Which fields, operators and metadata a file may have: those that are listed."""

from pathlib import Path

from .._lists import by_first_word
from . import _schema as schema
from ._flatbuffer import Table

HERE = Path(__file__).parent
OPERATORS = {int(number): name for number, (name,) in by_first_word(HERE / "operators.txt").items()}
FIELDS = {
    table: frozenset(int(field.split()[0]) for field in fields)
    for table, fields in by_first_word(HERE / "fields.txt").items()
}
VALUES = by_first_word(HERE / "values.txt")
KINDS = VALUES["kind"]
LONGEST_NAME = 200  # of what an error repeats


def check_fields(table: Table, name: str) -> None:
    """Raises ValueError for a field that is not listed."""
    others = table.present() - FIELDS[name]
    if others:
        raise ValueError(f"{name} has the fields {sorted(others)}, which are not listed")


def operator_codes(model: Table) -> list[int]:
    """Returns the operators' numbers in LiteRT's schema; ValueError for those that are not listed.

    An operator of somebody else's has a text beside its number.
    """
    numbers, others = [], []
    for code in model.tables(schema.CODES):
        own = code.text(schema.CUSTOM_CODE, LONGEST_NAME)
        old, new = code.number(schema.DEPRECATED_CODE, "b"), code.number(schema.CODE, "i")
        if own or max(old, new) not in OPERATORS or min(old, new) < 0:
            others.append(own or max(old, new))
        numbers.append(max(old, new))
    if others:
        raise ValueError(f"holds operators {others[:9]} that are not LiteRT's own")
    for code in model.tables(schema.CODES):
        check_fields(code, "OperatorCode")
    return numbers


def check_metadata(model: Table) -> None:
    for each in model.tables(schema.METADATA):
        check_fields(each, "Metadata")
        name = each.text(schema.METADATA_NAME, LONGEST_NAME)
        if each.number(schema.METADATA_BUFFER, "I") >= model.count(schema.BUFFERS):
            raise ValueError(f"metadata {name!r} is in a buffer that is not there")
        if name not in VALUES["metadata"]:
            raise ValueError(f"holds metadata {name!r}, expected {sorted(VALUES['metadata'])}")

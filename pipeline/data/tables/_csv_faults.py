"""What is wrong with a CSV, what it looks like instead, and which setting reads it."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pipeline.config.csv_params import Csv
from pipeline.data.tables import NO_DATE, NO_LABEL, NO_TIME, Kind

SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars", ",": "commas"}
COMMA = re.compile(r"\s*[-+]?\d*,\d+(?:[eE][-+]?\d+)?\s*")
"""A number with a decimal comma."""
POINT = re.compile(r"\s*[-+]?\d*\.\d+(?:[eE][-+]?\d+)?\s*")
THOUSANDS = re.compile(r"\s*[-+]?\d{1,3}(?:([.,'’   ])\d{3})(?:\1\d{3})*(?:[.,]\d+)?\s*")
"""A number whose thousands are parted."""
DATE = re.compile(r"\s*\d{1,4}[-/.:]\d{1,2}[-/.:]\d{1,4}")
WITH_UNIT = re.compile(
    r"\s*(?:[^\w\s.,+-]\s*[-+]?[\d.,]+|[-+]?[\d.,]+\s*(?:%|[^\W\d_]{1,3}|[€$£¥]))\s*"
)
EXPECTED: dict[Kind, str] = {
    "number": "a number",
    "label": NO_LABEL,
    "integer": "a whole number of at most 64 bits (int64)",
    "time": NO_TIME.removeprefix("expected "),
}
SHOWN = 60
"""Characters of a cell in a message."""


def of_header(
    header: list[str], following: Sequence[list[str]], written: Csv, is_utf8: bool
) -> str | None:
    """Returns what the header shows to be written otherwise, and what to set."""
    text = ",".join(header)
    utf16 = text.startswith(("\udcff\udcfe", "\udcfe\udcff", "\xff\xfe", "\xfe\xff", "ÿþ"))
    if "\0" in text or utf16:
        where = f"not {'UTF-8' if is_utf8 else written.encoding} but UTF-16"
        return f"{where}: save it as UTF-8, or set data.csv.encoding=utf-16"
    if byte := no_utf8(text):
        return f"not UTF-8, found the byte {byte}: {_other_encoding()}"
    if len(header) > 1:
        return None
    for separator, name in SEPARATORS.items():
        if separator in header[0] and separator != written.separator:
            expected = SEPARATORS.get(written.separator or ",", repr(written.separator))
            problem = f"found {name} between the names, {header[0]!r}, expected {expected}"
            cells = [cell for row in following for cell in ",".join(row).split(separator)]
            commas = separator != "," and any(COMMA.fullmatch(cell.strip('"')) for cell in cells)
            also = ' and data.csv.decimal=","' if commas and written.decimal == "." else ""
            shown = "\\t" if separator == "\t" else separator
            return f'{problem}; save it with {expected}, or set data.csv.separator="{shown}"{also}'
    return None


def of_cell(cell: str, kind: Kind, expected_type: Any, written: Csv) -> str:
    """Returns what is wrong with a cell that is not read as its kind, and what to do."""
    expected = EXPECTED.get(kind, "text")
    if str(expected_type) == "bool":
        expected = "true or false, as the column's first value is"
    if byte := no_utf8(cell):
        return f"not UTF-8, found the byte {byte}, expected {expected}: {_other_encoding()}"
    shown = repr(cell) if len(cell) <= SHOWN else f"{cell[:SHOWN]!r}… of {len(cell)} characters"
    problem = f"found {shown}, expected {expected}"
    if kind == "time":
        return f"{problem}; correct the cell or data.csv.time"
    number = kind != "label" or any(each.isdigit() for each in cell)
    return f"{problem}; {_advice(cell, written)}" if number else problem


def _advice(cell: str, written: Csv) -> str:
    if cell.strip().lower() in ("true", "false"):
        return "write 1 for true and 0 for false"
    if THOUSANDS.fullmatch(cell):
        plain = "thousands are not parted in a number that is read: write 1234567.8"
        comma = written.decimal == "." and COMMA.fullmatch(cell)
        return f'{plain}; or set data.csv.decimal="," if that is what it is' if comma else plain
    if COMMA.fullmatch(cell) and written.decimal == ".":
        return 'write a point where it has the comma, or set data.csv.decimal=","'
    if written.decimal == "," and POINT.fullmatch(cell):
        return "this one has a decimal point, but data.csv.decimal is a comma"
    if DATE.match(cell):
        return NO_DATE
    if WITH_UNIT.fullmatch(cell):
        return "write the number alone, and its unit into the column's name"
    if cell.strip().lower() in ("na", "n/a", "null", "none", "-", "?", "nil", ".", "missing"):
        return f"correct the cell, or say that it is a missing one: data.csv.missing=[{cell}]"
    return "correct the cell"


def _other_encoding() -> str:
    return "save it as UTF-8, or set data.csv.encoding, for instance to cp1252"


def no_utf8(text: str) -> str | None:
    """Returns the first byte that is not of UTF-8, as 0xf6; the reader hides it in a surrogate."""
    undecodable = next((character for character in text if "\udc80" <= character <= "\udcff"), None)
    return f"0x{ord(undecodable) - 0xDC00:02x}" if undecodable else None


def is_time(cell: str, written: str) -> bool:
    try:
        datetime.strptime(cell.strip(), written)
    except ValueError:
        return False
    return True

"""A CSV is read as it is written, or one line says what it looks like and what to set."""

import csv as python_csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config.csv_params import Csv
from pipeline.config.reading import convert
from pipeline.data.tables import open_table
from pipeline.errors import ParamsError
from testing.prepared import an_input, prepared, refusal, together

ROWS = [(i / 4 + 1000, "Köln" if i % 3 else "a;b,c\td", i % 2) for i in range(20)]
INPUTS = {"x": an_input("x"), "town": an_input("town", "string")}


def written(number: str = ".", **rules: Any) -> str:
    """ROWS as a program writes them."""
    import io

    file = io.StringIO()
    rows = python_csv.writer(file, lineterminator="\n", **rules)
    rows.writerow(["x", "town", "label"])
    rows.writerows([(str(x).replace(".", number), town, label) for x, town, label in ROWS])
    return file.getvalue()


PLAIN = written()
KINDS: dict[str, tuple[bytes, dict[str, Any]]] = {
    "with_a_bom": (PLAIN.encode("utf-8-sig"), {}),
    "of_windows": (PLAIN.replace("\n", "\r\n").encode(), {}),
    "with_all_quoted": (written(quoting=python_csv.QUOTE_ALL).encode(), {}),
    "with_semicolons": (written(delimiter=";").encode(), {"separator": ";"}),
    "of_excel_in_german": (
        written(",", delimiter=";").replace("\n", "\r\n").encode("cp1252"),
        {"separator": ";", "decimal": ",", "encoding": "cp1252"},
    ),
    "of_excel_as_unicode_text": (
        written(delimiter="\t").replace("\n", "\r\n").encode("utf-16"),
        {"separator": "\t", "encoding": "utf-16"},
    ),
    "with_bars": (written(delimiter="|").encode(), {"separator": "|"}),
    "with_decimal_commas": (written(",").encode(), {"decimal": ","}),
    "utf_16_big_endian": (PLAIN.encode("utf-16-be"), {"encoding": "utf-16-be"}),
    "latin_1": (PLAIN.encode("latin-1"), {"encoding": "latin-1"}),
    "with_single_quotes": (written(quotechar="'").encode(), {"quote": "'"}),
}


def kept(folder: Path, file: str, **changes: Any) -> tuple[list[float], list[str], list[int]]:
    arrays = prepared(folder, file, inputs=INPUTS, **changes)
    columns = [
        together(arrays, name).tolist() for name in ("inputs/x", "inputs/town", "targets/label")
    ]
    order = np.argsort(columns[0]).tolist()
    return tuple([column[i] for i in order] for column in columns)


@pytest.mark.parametrize("kind", KINDS)
def test_a_declared_way_of_writing_gives_the_same_rows(tmp_path: Path, kind: str) -> None:
    content, settings = KINDS[kind]
    (tmp_path / "t.csv").write_bytes(content)
    x, towns, labels = kept(tmp_path, "t.csv", csv=settings or None)
    assert list(zip(x, towns, labels, strict=True)) == ROWS


NAMELESS = {
    "inputs": {"x": an_input("column_1"), "town": an_input("column_2", "string")},
    "targets": {"label": {"source": "column_3", "classes": 2}},
}


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_header_columns_are_named_by_their_place(tmp_path: Path, kind: str) -> None:
    content, settings = KINDS[kind]
    encoding = settings.get("encoding", "utf-8-sig" if kind == "with_a_bom" else "utf-8")
    rows = content.decode(encoding).partition("\n")[2]
    (tmp_path / "t.csv").write_bytes(rows.encode(encoding))
    arrays = prepared(tmp_path, "t.csv", csv=settings | {"header": False}, **NAMELESS)
    columns = [together(arrays, name) for name in ("inputs/x", "inputs/town", "targets/label")]
    found = zip(*(column.tolist() for column in columns), strict=True)
    assert sorted(found) == sorted(ROWS)


def test_without_a_header_the_first_row_is_row_1_of_line_1(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("1,a,0\n2,b,1\nthree,c,0\n")
    said = refusal(tmp_path, "t.csv", csv={"header": False}, **NAMELESS)
    assert "row 3 (line 3), column 'column_1': found 'three', expected a number" in said
    (tmp_path / "t.csv").write_text("x,town,label\n2,b,1\n3,c,0\n")
    said = refusal(tmp_path, "t.csv", csv={"header": False}, **NAMELESS)
    assert "row 1 (line 1), column 'column_1': found 'x', expected a number" in said
    (tmp_path / "t.csv").write_text("")
    assert "empty, expected rows" in refusal(tmp_path, "t.csv", csv={"header": False}, **NAMELESS)


@pytest.mark.parametrize("first", ["1.5,Rome,0", "0,Rome,0"])
def test_values_where_the_names_should_be_say_what_to_set(tmp_path: Path, first: str) -> None:
    (tmp_path / "t.csv").write_text(f"{first}\n2,b,1\n3,c,0\n")
    said = refusal(tmp_path, "t.csv", **NAMELESS)
    assert said.endswith("where its first line has no names, set data.csv.header=false")


def test_a_tsv_has_tabs(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text(written(delimiter="\t"))
    assert kept(tmp_path, "t.tsv")[0] == [x for x, _, _ in ROWS]


LOOKS: dict[str, tuple[bytes, dict[str, Any], list[str]]] = {
    "semicolons": (
        written(delimiter=";").encode(),
        {},
        ["line 1: found semicolons between the names, 'x;town;label', expected commas",
         'set data.csv.separator=";"'],
    ),
    "semicolons_and_decimal_commas": (
        written(",", delimiter=";").encode(),
        {},
        ['set data.csv.separator=";" and data.csv.decimal=","'],
    ),
    "tabs": (written(delimiter="\t").encode(), {}, ['set data.csv.separator="\\t"']),
    "commas_where_tabs_were_declared": (
        PLAIN.encode(),
        {"separator": "\t"},
        ["found commas between the names", "expected tabs"],
    ),
    "utf_16": (PLAIN.encode("utf-16"), {}, ["line 1: not UTF-8 but UTF-16", "encoding=utf-16"]),
    "utf_16_declared_as_cp1252": (PLAIN.encode("utf-16"), {"encoding": "cp1252"}, ["but UTF-16"]),
    "cp1252": (
        PLAIN.encode("cp1252"),
        {},
        ["row 2 (line 3), column 'town': not UTF-8, found the byte 0xf6", "encoding", "cp1252"],
    ),
    "declared_as_utf_16": (PLAIN.encode(), {"encoding": "utf-16"}, ["not utf-16", "data.csv.enc"]),
    "decimal_commas": (
        written(",").encode(),
        {},
        ["row 1 (line 2), column 'x': found '1000,0'", 'data.csv.decimal=","'],
    ),
    "decimal_points_where_commas_were_declared": (
        PLAIN.encode(),
        {"decimal": ","},
        ["row 1 (line 2), column 'x': found '1000.0', expected a number; this one has a decimal "
         "point, but data.csv.decimal is a comma"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", LOOKS)
def test_an_undeclared_one_is_told_by_what_it_looks_like(tmp_path: Path, kind: str) -> None:
    content, settings, words = LOOKS[kind]
    (tmp_path / "t.csv").write_bytes(content)
    said = refusal(tmp_path, "t.csv", inputs=INPUTS, csv=settings or None)
    for word in words:
        assert word in said, said


CELLS = {
    "1,234.5": "thousands are not parted in a number that is read: write 1234567.8",
    "1.234,5": "thousands are not parted",
    "1 234 567": "thousands are not parted",
    "1'234.50": "thousands are not parted",
    "1,234": 'or set data.csv.decimal="," if that is what it is',
    "3,5": 'write a point where it has the comma, or set data.csv.decimal=","',
    "12 %": "write the number alone, and its unit into the column's name",
    "€ 5.00": "write the number alone",
    "5 kg": "write the number alone",
    "N/A": "say that it is a missing one: data.csv.missing=[N/A]",
    "31.01.2026": "dates are read as numbers where the input says which",
    "one": "correct the cell",
}


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_that_is_no_number_says_what_to_do(tmp_path: Path, cell: str) -> None:
    rows = "".join(f'"{cell if i == 6 else i}",{i % 2}\n' for i in range(20))
    (tmp_path / "t.csv").write_text(f"x,label\n{rows}")
    said = refusal(tmp_path, "t.csv")
    assert f"row 7 (line 8), column 'x': found {cell!r}, expected a number; " in said
    assert CELLS[cell] in said


def test_a_line_end_within_quotes_is_part_of_the_cell(tmp_path: Path) -> None:
    towns = [f"two\nlines {i}" if i % 2 else f"one\r\n {i}" for i in range(20)]
    rows = "".join(f'{i},"{town}",{i % 2}\r\n' for i, town in enumerate(towns))
    (tmp_path / "t.csv").write_bytes(f"x,town,label\r\n{rows}".encode())
    assert kept(tmp_path, "t.csv")[1] == towns
    spoiled = rows.replace("13,", "oops,")
    (tmp_path / "t.csv").write_bytes(f"x,town,label\r\n{spoiled}".encode())
    (tmp_path / "output").rename(tmp_path / "before")
    assert "row 14 (line 28), column 'x': found 'oops'" in refusal(tmp_path, "t.csv", inputs=INPUTS)


@pytest.mark.parametrize("words", [("true", "false"), ("True", "False"), ("TRUE", "FALSE")])
def test_true_and_false_are_1_and_0(tmp_path: Path, words: tuple[str, str]) -> None:
    rows = "".join(f"{words[i % 3 == 0]},{words[i % 2]}\n" for i in range(20))
    (tmp_path / "t.csv").write_text(f"x,label\n{rows}")
    arrays = prepared(tmp_path, "t.csv")
    assert sorted(together(arrays, "inputs/x")) == [0] * 7 + [1] * 13
    assert sorted(together(arrays, "targets/label")) == [0] * 10 + [1] * 10
    (tmp_path / "output").rename(tmp_path / "before")
    (tmp_path / "t.csv").write_text(f"x,label\n{rows.replace(words[1], 'yes', 1)}")
    said = refusal(tmp_path, "t.csv")
    assert "found 'yes', expected" in said


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"separator": ";;"}, "data.csv.separator: found ';;', expected one ASCII character"),
        ({"separator": "\n"}, "data.csv.separator: found '\\n'"),
        ({"quote": "„"}, "data.csv.quote: found '„', expected one ASCII character"),
        ({"decimal": ";"}, "data.csv.decimal: found ';', expected one of ., ,"),
        ({"encoding": "utf8000"}, "data.csv.encoding: found 'utf8000', expected one that Python"),
        ({"encoding": "rot13"}, "data.csv.encoding: found 'rot13'"),
        ({"seperator": ";"}, "data.csv.seperator: no such key; did you mean separator?"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ParamsError) as caught:
        convert(settings, Csv, "data.csv")
    assert said in str(caught.value)


def test_settings_of_a_csv_are_refused_for_another_kind_of_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", x=np.arange(20), label=np.arange(20) % 2)
    assert "t.npz is none; set it to null" in refusal(tmp_path, "t.npz", csv={"separator": ";"})


def test_memory_and_lines_hold_for_another_encoding(tmp_path: Path) -> None:
    rows = "".join(f"{i}\tsüß {i}\t{i % 2}\n" for i in range(30_000))
    (tmp_path / "t.csv").write_bytes(f"x\ttown\tlabel\n{rows}".encode("utf-16"))
    table = open_table(tmp_path / "t.csv", Csv(separator="\t", encoding="utf-16"))
    sizes = [len(batch["x"]) for batch in table.batches({"x": "number"})]
    assert sum(sizes) == 30_000 and max(sizes) < 20_000
    assert table.line(29_999) == 30_001

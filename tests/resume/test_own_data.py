"""The data that a complete model was made with are here byte for byte, here with other bytes, or
named in the one line that ends the command."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import PipelineError
from pipeline.provenance.digests import contents
from pipeline.provenance.lineage import Node
from pipeline.resume.own_data import demand_here, described
from testing.prepared import NO_SPLIT, an_input

ROWS = """
import numpy
def rows(count, shapes=None):
    for number in range(count):
        yield {"x": float(number), "label": number % 2}
"""
CALL = {"_target_": "data.counted_rows.rows", "count": 8}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone's conf/data and data, with a table and a folder of parts."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf/data").mkdir(parents=True)
    (tmp_path / "data/parts").mkdir(parents=True)
    for name in ("table.csv", "parts/a.csv", "parts/b.csv"):
        (tmp_path / "data" / name).write_text("x,label\n0.5,0\n1.5,1\n")
    return tmp_path


def section(**changes: Any) -> dict[str, Any]:
    """The data section of a statement."""
    values: dict[str, Any] = {"name": "small", "file": "table.csv", "rows": None, "id": None}
    values |= {"ignore": [], "csv": None, "dimensions": {}, "split": dict(NO_SPLIT)}
    values["inputs"] = {"x": an_input("x")}
    return values | {"targets": {"label": {"source": "label", "classes": 2}}} | changes


def trained_with(folder: Path) -> Node:
    """The statement of a `prepare` that read the folder as it is now."""
    definition = {"resolvedDependencies": [{"name": "data", "digest": {"sha256": "0" * 64}}]}
    definition["resolvedDependencies"][0]["annotations"] = {"files": contents(folder / "data")}
    return Node(digest="0" * 64, statement={"predicate": {"buildDefinition": definition}})


def refusal(**changes: Any) -> str:
    with pytest.raises(PipelineError) as caught:
        demand_here(section(**changes))
    assert "\n" not in str(caught.value)
    return str(caught.value)


FILES = ["table.csv", "parts", "parts/*.csv", {"train": "table.csv", "val": "parts/b.csv"}]


@pytest.mark.parametrize("file", FILES, ids=str)
def test_the_same_bytes_are_told_from_others(here: Path, file: Any) -> None:
    node = trained_with(here)
    (here / "data/of_somebody_else.csv").write_text("x\n")
    config = demand_here(section(file=file))
    assert described(config, node) == "as it was trained with, byte for byte"
    changed = here / "data" / ("table.csv" if file == "table.csv" else "parts/b.csv")
    changed.write_text("x,label\n0.5,1\n1.5,0\n")
    expected = f"as it was trained with, but with other bytes in {changed.relative_to(here)}"
    assert described(config, node) == expected


@pytest.mark.parametrize("file", ["parts", "parts/*.csv"])
@pytest.mark.parametrize("name", ["b.csv", "c.csv"])
def test_a_file_less_or_more_is_told(here: Path, file: str, name: str) -> None:
    node, path = trained_with(here), here / "data/parts" / name
    if path.exists():
        path.unlink()
    else:
        path.write_text("x,label\n2.5,1\n")
    config = demand_here(section(file=file))
    assert described(config, node).endswith(f"but with other bytes in data/parts/{name}")


def test_a_statement_that_lists_no_files_promises_nothing(here: Path) -> None:
    node = trained_with(here)
    node.definition["resolvedDependencies"][0].pop("annotations")
    assert described(demand_here(section()), node) == "as it was trained with"


def test_data_that_are_not_here_are_named_with_what_to_do(here: Path) -> None:
    said = "the complete model was trained with data small; name others with data=…"
    assert refusal(file="gone.csv").startswith("data/gone.csv: no such file; data/ holds ")
    assert refusal(file="gone.csv").endswith(said)
    assert refusal(file="gone/*.csv").endswith(said)
    (here / "data/big.csv.dvc").write_text("outs: []\n")
    assert "only its .dvc file; run `dvc pull`" in refusal(file="big.csv")
    assert "expected a path below data/" in refusal(file="../table.csv")


def test_made_up_rows_are_nothing_to_learn_from(here: Path) -> None:
    assert refusal(made_up=True).startswith("data.made_up: found true, expected data to learn from")


def test_a_function_is_called_only_as_an_option_of_this_clone_calls_it(here: Path) -> None:
    (here / "data/counted_rows.py").write_text("raise SystemExit('it was imported')\n")
    (here / "conf/data/counted.yaml").write_text(
        "rows:\n  _target_: data.counted_rows.rows\n  count: 9\n"
    )
    assert refusal(file=None, rows=CALL).startswith("data.rows: found {'_target_': 'data.counted")


def test_what_an_option_takes_from_the_section_may_be_the_models_own(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib
    import sys

    from pipeline.config import targets

    (here / "data/counted_rows.py").write_text(ROWS)
    option = "rows:\n  _target_: data.counted_rows.rows\n  count: 8\n  shapes: ${data.dimensions}\n"
    (here / "conf/data/counted.yaml").write_text(option)
    monkeypatch.syspath_prepend(here)
    for name in [name for name in sys.modules if name.split(".")[0] == "data"]:
        monkeypatch.delitem(sys.modules, name)
    importlib.invalidate_caches()
    assert targets.DATA == "data"
    node = trained_with(here)
    config = demand_here(section(file=None, rows=CALL | {"shapes": {}}))
    assert described(config, node) == "as it was trained with, byte for byte"
    (here / "data/counted_rows.py").write_text(ROWS + "\n# Another.\n")
    assert described(config, node).endswith("other bytes in data/counted_rows.py")

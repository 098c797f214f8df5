"""A store that MLflow is given is the one that it would have made."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from mlflow.store.db import utils
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from testing.preloaded import migrated
from testing.project import Project


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The stores that MLflow has migrated itself since."""
    by_itself: list[str] = []
    plainly = utils._initialize_tables

    def migrate(engine: object) -> None:
        by_itself.append(Path(engine.url.database).name)  # type: ignore[attr-defined]
        plainly(engine)

    monkeypatch.setattr(utils, "_initialize_tables", migrate)
    migrated.once()
    by_itself.clear()
    yield by_itself
    monkeypatch.setattr(utils, "_initialize_tables", plainly)


def made(file: Path) -> Path:
    SqlAlchemyStore(f"sqlite:///{file}", str(file.parent)).engine.dispose()
    return file


def content(file: Path) -> list[list[str]]:
    """Each statement that makes the store by its lines, whose order is not the same each time."""
    with closing(sqlite3.connect(file)) as store:
        text = [re.sub(r"\b1\d{12}\b", "TIME", each) for each in store.iterdump()]
    return sorted(sorted(each.strip().rstrip(",") for each in one.splitlines()) for one in text)


def test_it_is_filled_with_what_the_migrations_make(
    given: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = made(tmp_path / "mlflow.db")
    assert given == []
    monkeypatch.setenv(*next(iter(migrated.BY_ITSELF.items())))
    second = made(tmp_path / "mlflow.2.db")
    assert given == ["mlflow.2.db"]
    assert content(first) == content(second)


def test_a_store_in_which_something_lies_is_left_to_mlflow(
    given: list[str], tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as store:
        store.execute("create table experiment_tags (mine text)")
    with pytest.raises(Exception, match="experiment_tags"):
        made(tmp_path / "mlflow.db")
    assert given == ["mlflow.db"]


def test_what_parents_have_begun_is_given_them(tmp_path: Path) -> None:
    said = "from mlflow.store.db import utils; print(hasattr(utils._initialize_tables, 'plainly'))"
    assert Project(tmp_path).script(said, parent="mlflow").stdout == "True\n"

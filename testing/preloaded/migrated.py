"""MLflow makes a fresh store by sixty migrations, two thirds of what a log to it takes."""

import os
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

MODULE = "mlflow.store.db.utils"
BY_ITSELF = {"STORES_BY_THEMSELVES": "1"}
"""With this variable a process migrates its store itself: one that is to be disturbed."""


def once() -> None:
    """From now on, MLflow in this process and its children fills an empty SQLite store with what
    its migrations have made of another one."""
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401, which knows all tables

    utils: Any = sys.modules[MODULE]
    migrate = utils._initialize_tables
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "made.db")
        engine = utils.create_sqlalchemy_engine(f"sqlite:///{file}")
        migrate(engine)
        engine.dispose()
        content = file.read_bytes()

    def fill(engine: Any) -> None:
        if BY_ITSELF.keys() & os.environ.keys() or not _is_empty(engine):
            migrate(engine)
            return
        with engine.connect() as connection, closing(sqlite3.connect(":memory:")) as made:
            made.deserialize(content)
            made.backup(connection.connection.driver_connection)

    fill.plainly = migrate  # type: ignore[attr-defined]
    utils._initialize_tables = fill


def _is_empty(engine: Any) -> bool:
    if engine.dialect.name != "sqlite":
        return False
    with engine.connect() as connection:
        tables = "select count(*) from sqlite_master"
        return bool(connection.exec_driver_sql(tables).scalar() == 0)

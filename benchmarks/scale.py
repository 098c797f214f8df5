"""`python -m benchmarks.scale`: does a store of MLflow's with thousands of runs slow anything down?

The store is the one that a clone makes by itself, sqlite with its files beside it. One run is
logged; the others are its copies, spread over three years, each with a complete model, statement
and digest of its own. Then another complete model is logged, and traced by its digest, as is one
from the middle of the years. The figures are the least of several, and their ratio to the first.
"""

import argparse
import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.reproduced import clone, environment, run
from pipeline import provenance
from pipeline.config.yaml_text import load_yaml

SIZES = (1, 10, 100, 1000, 10_000)
YEARS = 3 * 365 * 86_400_000
MODEL = Path("artifacts/complete-model")
ROWS = (
    *((table, "run_uuid") for table in ("runs", "params", "metrics", "latest_metrics", "tags")),
    *(("inputs", "source_id"), ("inputs", "destination_id")),
    *(("logged_models", "model_id"), ("logged_model_params", "model_id")),
    *(("logged_model_metrics", "model_id"), ("logged_model_tags", "model_id")),
)
"""Table and column of what belongs to a run or its logged model."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale")
    parser.add_argument("--runs", nargs="*", type=int, default=SIZES, metavar="N")
    parser.add_argument("--times", type=int, default=3, metavar="N")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        place = clone(Path(scratch) / "clone")
        run(place, "python", "-m", "pipeline", "experiment=smoke")
        (seed := Path(scratch) / "seed").mkdir()
        shutil.move(place / "mlartifacts", seed)
        shutil.move(place / "mlflow.db", seed)
        report = json.loads((place / "reports/mlflow.json").read_text())
        run(place, "python", "-m", "pipeline", "experiment=smoke", "train.seed=1")
        new = provenance.digest(place / MODEL)
        first: dict[str, float] = {}
        for size in arguments.runs:
            (place / "mlflow.db").unlink()
            shutil.rmtree(place / "mlartifacts")
            old = fill(place, seed, report, size)
            least = measured(place, new, old, arguments.times)
            if not first:
                first = least
                print("| runs | " + " | ".join(f"{name} | " for name in least) + " |")
                print("|---|" + "---|---|" * len(least))
            row = (f"{value:.2f} s | {value / first[name]:.2f}" for name, value in least.items())
            print(f"| {size:,} | {' | '.join(row)} |", flush=True)
    return 0


def measured(place: Path, new: str, old: str, times: int) -> dict[str, float]:
    """Seconds, the least of each."""
    stages = load_yaml((place / "dvc.yaml").read_text(), "dvc.yaml")["stages"]
    log = stages["log-to-mlflow"]["cmd"].split()
    before = shutil.copy(place / "mlflow.db", place.parent / "before.db")
    found: dict[str, list[float]] = {}
    for _ in range(times):
        shutil.copy(before, place / "mlflow.db")
        commands: dict[str, Sequence[str]] = {
            "log-to-mlflow": log,
            "trace the new one": ("python", "-m", "pipeline.trace", new),
            "trace an old one": ("python", "-m", "pipeline.trace", old),
        }
        for name, command in commands.items():
            found.setdefault(name, []).append(seconds(place, command))
    return {name: min(values) for name, values in found.items()}


def seconds(place: Path, command: Sequence[str]) -> float:
    start = time.perf_counter()
    done = subprocess.run(command, cwd=place, env=environment(), capture_output=True, text=True)
    taken = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return taken


def fill(place: Path, seed: Path, report: dict[str, Any], size: int) -> str:
    """A store with the seed's run and copies of it; gives the digest of the one in the middle."""
    shutil.copytree(seed / "mlartifacts", place / "mlartifacts")
    shutil.copy(seed / "mlflow.db", place)
    models = place / "mlartifacts/models"
    if not models.is_dir():
        sys.exit(f"{models}: not there; MLflow keeps logged models elsewhere than it did")
    digests = [report["complete_model"]]
    with contextlib.closing(sqlite3.connect(place / "mlflow.db")) as store:
        own = (report["run_id"], report["model_id"])
        rows = [(table, _rows(store, table, column, own)) for table, column in ROWS]
        for number in range(1, size):
            run_id, model_id = uuid.uuid4().hex, f"m-{uuid.uuid4().hex}"
            digests.append(_files(models, report["model_id"], model_id, number))
            then = int(report["start_time"]) - YEARS * (size - number) // size
            swap = {
                report["run_id"]: run_id,
                report["model_id"]: model_id,
                report["complete_model"]: digests[-1],
                report["start_time"]: then,
            }
            for table, held in rows:
                marks = ", ".join("?" * len(held[0]))
                copies = [[_swapped(value, swap) for value in row] for row in held]
                store.executemany(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", copies)
        store.commit()
    return digests[len(digests) // 2]


def _rows(
    store: sqlite3.Connection, table: str, column: str, own: tuple[str, str]
) -> list[tuple[object]]:
    query = f"SELECT DISTINCT * FROM {table} WHERE {column} IN (?, ?)"
    return store.execute(query, own).fetchall()


def _swapped(value: object, swap: dict[Any, Any]) -> object:
    if not isinstance(value, str):
        return swap.get(value, value) if isinstance(value, int) else value
    for old, new in swap.items():
        if isinstance(old, str):
            value = value.replace(old, str(new))
    return value


def _files(models: Path, model_id: str, copy_id: str, number: int) -> str:
    """The complete model with another statement, so another digest; its other files are links."""
    shutil.copytree(models / model_id, models / copy_id, copy_function=os.link)
    path = models / copy_id / "artifacts" / provenance.NAME
    statement = json.loads(path.read_bytes())
    definition = statement["predicate"]["buildDefinition"]
    definition["externalParameters"]["params"]["lineage"]["copy"] = number
    path.unlink()
    path.write_text(provenance.sealed(statement["subject"], definition))
    return provenance.digest(path)


if __name__ == "__main__":
    sys.exit(main())

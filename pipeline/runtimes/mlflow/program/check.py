"""python check.py [--answers FOLDER] [--time FILE] [EXAMPLES.npz ...]

Starts `mlflow models serve` for the directory that this lies in, on a port of this machine, asks it
for the examples, and says how far its answers are from those of the trained model; ends with 1
where one is further off than the model promises. It runs by itself, with MLflow and numpy.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

MODEL = Path(__file__).resolve().parents[2]
ATOL, RTOL, LARGE = float("@ATOL@"), float("@RTOL@"), 10.0
ADDRESS = f"http://127.0.0.1:{os.environ.get('PORT', '5001')}"
LONGEST = 120
"""Seconds that the server may take to start, and to answer."""
TURNS, WARM = 100, 3

Arrays = dict[str, np.ndarray]


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--answers", type=Path)
    parser.add_argument("--time", type=Path)
    default = [MODEL / f"examples/{name}.npz" for name in ("one", "seven")]
    parser.add_argument("files", type=Path, nargs="*", default=default)
    options = parser.parse_args(words)
    start = time.perf_counter()
    with serving():
        times: dict[str, float] = {"load_seconds": time.perf_counter() - start}
        right = [answered(file, options.answers, times) for file in options.files]
        if options.time:
            inputs, _ = read(options.files[0])
            times |= {f"median_{rows}_seconds": median(inputs, rows) for rows in (1, 32)}
            options.time.write_text(json.dumps(times))
    return 0 if all(right) else 1


@contextmanager
def serving() -> Iterator[None]:
    """Has MLflow's server run meanwhile. Raises OSError where it does not start."""
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", str(MODEL)]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", ADDRESS[17:]]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true"}
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as log:
        environment = {**os.environ, **quiet}
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            if fault := awaited(server):
                log.seek(max(log.seek(0, os.SEEK_END) - 4096, 0))
                last = log.read().decode(errors="replace").strip().rpartition("\n")[2]
                raise OSError(f"MLflow's server {fault}: {last}")
            yield
        finally:
            server.terminate()
            server.wait()


def awaited(server: "subprocess.Popen[bytes]") -> str:
    """Returns why the server does not answer; "" once it does."""
    end = time.monotonic() + LONGEST
    while time.monotonic() < end:
        if server.poll() is not None:
            return f"ended with {server.returncode}"
        try:
            urllib.request.urlopen(f"{ADDRESS}/ping", timeout=5).close()
            return ""
        except OSError:
            time.sleep(0.1)
    return f"does not answer within {LONGEST} seconds"


def read(file: Path) -> tuple[Arrays, Arrays]:
    """Returns inputs and outputs by name."""
    with np.load(file) as arrays:
        sides: dict[str, Arrays] = {"input": {}, "output": {}}
        for key in arrays.files:
            side, _, name = key.partition(".")
            if side in sides:
                sides[side][name] = arrays[key]
    return sides["input"], sides["output"]


def asked(inputs: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Returns what the server answers, lists by output. Raises OSError with its own words."""
    body = json.dumps({"inputs": {name: array.tolist() for name, array in inputs.items()}})
    header = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{ADDRESS}/invocations", body.encode(), header)
    try:
        with urllib.request.urlopen(request, timeout=LONGEST) as answer:
            predictions: dict[str, Any] = json.load(answer)["predictions"]
    except urllib.error.HTTPError as error:
        words = " ".join(error.read().decode(errors="replace").split())
        raise OSError(f"MLflow's server answers {error.code}: {words[:300]}") from None
    return predictions


def answered(file: Path, folder: Path | None, times: dict[str, float]) -> bool:
    """Asks for a batch; returns whether its answers are as near as the model promises."""
    inputs, outputs = read(file)
    start = time.perf_counter()
    answers = asked(inputs)
    times.setdefault("first_seconds", time.perf_counter() - start)
    right = True
    for name, expected in outputs.items():
        answer = np.asarray(answers[name])
        if answer.shape == expected.shape:
            answer = answer.astype(expected.dtype)
        text, near = compared(answer, expected)
        print(f"{file.name} {name}: {text}{'' if near else ', which is too far'}")
        right = right and near
        if folder:
            np.save(folder / f"{file.stem}.{name}.npy", answer)
    return right


def compared(answer: np.ndarray, expected: np.ndarray) -> tuple[str, bool]:
    """Compares as the model's own format is: a value may be off by atol + rtol * |value|, and atol
    grows with its row's largest value beyond LARGE."""
    if answer.shape != expected.shape:
        return f"has shape {list(answer.shape)}, expected {list(expected.shape)}", False
    if expected.dtype.kind != "f":
        equal = bool((answer == expected).all())
        return ("equal" if equal else "differs"), equal
    finite = np.isfinite(expected)
    size = np.where(finite, np.abs(expected.astype(np.float64)), 0.0)
    rows = tuple(range(1, size.ndim))
    largest = size.max(axis=rows, keepdims=True, initial=0.0) if rows else np.zeros_like(size)
    allowed = ATOL * np.maximum(1.0, largest / LARGE) + RTOL * size
    both = finite & np.isfinite(answer)
    alike = (answer == expected) | (np.isnan(answer) & np.isnan(expected))
    with np.errstate(invalid="ignore"):
        off = np.where(both, np.abs(answer.astype(np.float64) - expected), 0.0)
    right = bool(np.where(both, off <= allowed, alike).all())
    return f"largest difference {off.max(initial=0.0):.3g}", right


def median(inputs: Arrays, rows: int) -> float:
    """Returns the seconds of an answer to so many rows, each the first."""
    many = {name: np.repeat(array[:1], rows, axis=0) for name, array in inputs.items()}
    times = []
    for _ in range(TURNS + WARM):
        start = time.perf_counter()
        asked(many)
        times.append(time.perf_counter() - start)
    return statistics.median(times[WARM:])


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (OSError, KeyError, ValueError) as fault:
        print(f"{type(fault).__name__}: {fault}" if isinstance(fault, KeyError) else fault)
        sys.exit(2)

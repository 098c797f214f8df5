"""Starts clean_process.py: a fresh process for each format, as many at once as there are cores."""

import contextlib
import dataclasses
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pipeline.components import plugin
from pipeline.evidence import Answers, Continued, Evidence
from pipeline.params import Train

SCRIPT = Path(__file__).resolve().with_name("clean_process.py")

PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "TMPDIR")
"""Of the environment, where the interpreter and its libraries may need it."""


def ask(evidence: Evidence, data: Path) -> Evidence:
    """With the answers; a format that needs its source gives them in a second process."""
    names = list(evidence.promises)
    needy = [name for name in names if not evidence.promises[name]["code_free"]]
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(os.cpu_count()) as pool:
        started = {
            (name, source): pool.submit(answer, evidence, data, name, Path(scratch), source)
            for source, some in ((False, names), (True, needy))
            for name in some
        }
        training = {
            name: pool.submit(go_on, evidence, data, name, Path(scratch))
            for name in evidence.trainable
        }
        import_metrics(evidence.params.train)
        return dataclasses.replace(
            evidence,
            continued={name: each.result() for name, each in training.items()},
            clean={name: started[name, False].result() for name in names},
            answers={name: started[name, name in needy].result() for name in names},
        )


def answer(evidence: Evidence, data: Path, name: str, scratch: Path, source: bool) -> Answers:
    """Without the source the working directory holds nothing but the format's own file."""
    room = scratch / f"{name}{'-with-source' if source else ''}"
    job, death = _run(evidence, data, name, room, source, "answer")
    shutil.rmtree(job["copy"], ignore_errors=True)
    if death is not None:
        return Answers(error=death, at="start")
    return Answers.read(Path(job["report"]), Path(job["answers"]))


def go_on(evidence: Evidence, data: Path, name: str, scratch: Path) -> Continued:
    """The steps of the reference, taken without the source."""
    job, death = _run(evidence, data, name, scratch / f"{name}-training", False, "go_on")
    if death is not None:
        return Continued(error=death, at="start")
    return Continued.read(Path(job["report"]), Path(job["answers"]))


def _run(
    evidence: Evidence, data: Path, name: str, room: Path, source: bool, task: str
) -> tuple[dict[str, Any], str | None]:
    """The job, and how its process died if it left no report."""
    (room / "empty").mkdir(parents=True)
    job = _job(evidence, data, name, room, source) | {"task": task}
    (room / "job.json").write_text(json.dumps(job))
    done = subprocess.run(
        [sys.executable, "-I", str(SCRIPT), str(room / "job.json")],
        cwd=Path.cwd() if source else room / "empty",
        env=environment(evidence.params.train.threads, room),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    return job, None if Path(job["report"]).is_file() else _death(done)


def _job(evidence: Evidence, data: Path, name: str, room: Path, source: bool) -> dict[str, Any]:
    file = Path(str(plugin("formats", name).__file__))
    test = data.resolve() / "test" / "inputs"
    reference = evidence.checkpoint.resolve() / "reference"
    return {
        "format": str(shutil.copyfile(file, room / "empty" / file.name)),
        "directory": str(evidence.complete_model.resolve()),
        "copy": str(room / "perturbed"),
        "reference": {batch: str(reference / f"{batch}.npz") for batch in evidence.baseline},
        "training": str(reference / "training.npz"),
        "test": {each: str(test / f"{each}.npy") for each in evidence.schema["inputs"]},
        "score": next(iter(evidence.schema["outputs"])),
        "rows": max(256, evidence.params.train.batch_size),
        "threads": evidence.params.train.threads,
        "refuse": [] if source else evidence.sources,
        "repository": str(SCRIPT.parents[1]),
        "source": str(Path.cwd()) if source else None,
        "answers": str(room / "answers.npz"),
        "report": str(room / "report.json"),
    }


def environment(threads: int, home: Path) -> dict[str, str]:
    """Bitwise parity needs the thread count of training; other arithmetic than a CPU's is out."""
    kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    fixed = {"HOME": str(home), "LANG": "C.UTF-8", "CUDA_VISIBLE_DEVICES": ""}
    fixed |= {"TF_DETERMINISTIC_OPS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    counts = (
        *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"),
        *("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"),
    )
    return kept | fixed | dict.fromkeys(counts, str(threads))


def _death(done: subprocess.CompletedProcess[bytes]) -> str:
    last = " ".join(done.stderr.decode(errors="replace").strip().splitlines()[-1:])
    how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
    return f"the process ended with {how} and no report{f': {last}' if last else ''}"


def import_metrics(train: Train) -> None:
    """While the processes run; whatever is wrong with a metric is told when it is scored."""
    for config in train.metrics.values():
        with contextlib.suppress(ImportError):
            importlib.import_module("hydra.utils")
            importlib.import_module(config["_target_"].rpartition(".")[0])

"""`python -m benchmarks.experiments`: is every experiment verified, trained on and made again?

Each of conf/experiment/ runs in a clone of this repository's HEAD. Its complete model is trained
on there, with nothing in models/ and nothing said but for how long, and made again in another
clone, to the same bytes. One process after the other.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.reproduced import MODEL, ROOT, again, clone, environment

SHORT = ("train.epochs=2", "checkpoint.many=16", "export.attempt=[]")
LONGER = ("train.epochs=1", "export.attempt=[]")
IN_KERAS = {
    "any_size": "keras_points",
    "autoencoder": "keras_autoencoder",
    "contrastive": "keras_contrastive",
    "images": "keras_images",
    "multilabel": "keras_kinds",
    "regression": "keras_throws",
    "segmentation": "keras_unet",
    "two_outputs": "keras_locator",
}
MAKERS = {"images": "data/arrows.py"}
"""What writes data that git does not have."""
PASSED = ("verified", "verified", "same bytes")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.experiments")
    parser.add_argument("experiments", nargs="*", help="all, unless some are named")
    parser.add_argument("--keras", action="store_true", help="those that have a Keras model, too")
    arguments = parser.parse_args()
    cases = [(name, None) for name in arguments.experiments or names()]
    if arguments.keras:
        cases += [(name, IN_KERAS[name]) for name, _ in cases if name in IN_KERAS]
    print(f"{'experiment':<40}{'run':<14}{'trained on':<14}{'made again':<14}seconds", flush=True)
    worst = 0
    for name, model in cases:
        start = time.perf_counter()
        results = judged(name, model)
        title = f"{name}, {model}" if model else name
        words = "".join(f"{result:<14}" for result in results)
        print(f"{title:<40}{words}{time.perf_counter() - start:.0f}", flush=True)
        worst = max(worst, int(tuple(results) != PASSED))
    return worst


def names() -> list[str]:
    return sorted(path.stem for path in (ROOT / "conf/experiment").glob("*.yaml"))


def judged(name: str, model: str | None) -> list[str]:
    """What became of the run, of training on, and of making it again; the last may be a fault."""
    chosen = [f"experiment={name}", *([f"model={model}"] if model else [])]
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        first = with_data(clone(scratch / "first"), name)
        results = [verdict(first, "pipeline", *chosen, *SHORT)]
        if results[0] != "verified":
            return results
        made = Path(shutil.copytree(first / MODEL, scratch / "made"))
        for source in (first / "models").iterdir():
            shutil.rmtree(source) if source.is_dir() else source.unlink()
        results.append(verdict(first, "pipeline.resume", str(made), *LONGER))
        shutil.rmtree(first)
        return [*results, again(made, with_data(clone(scratch / "again"), name))[1]]


def with_data(place: Path, name: str) -> Path:
    """The clone, with the data that a script of its own writes."""
    if name in MAKERS:
        subprocess.run([sys.executable, MAKERS[name]], cwd=place, check=True, capture_output=True)
    return place


def verdict(place: Path, module: str, *arguments: str) -> str:
    """`verified`, or the last line that the command ended with."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(
        command,
        cwd=place,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        faults = [line for line in done.stdout.splitlines() if line.startswith("error: ")]
        return faults[0] if faults else done.stdout.strip().splitlines()[-1]
    report = json.loads((place / "reports/verify.json").read_text())
    digest = json.loads((place / "reports/mlflow.json").read_text())["complete_model"]
    return "verified" if report["passed"] and report["complete_model"] == digest else "FAILED"


if __name__ == "__main__":
    sys.exit(main())

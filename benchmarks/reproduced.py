"""`python -m benchmarks.reproduced --times 5`: is every model made again to the same bytes?

Each model is trained in a clone of this repository's HEAD; its complete model alone is then made
again from another clone, so often. One model is also trained from a dirty tree, one by a queued
DVC experiment.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODELS: dict[str, tuple[str, ...]] = {
    "torch_mlp": (),
    "torch_cnn": (),
    "keras_mlp": (),
    "keras_custom": (),
    "keras_functional": (),
    "keras_text_tabular": ("data=parcels",),
}
SMOKE = ("experiment=smoke", "export.attempt=[onnx]")
MODEL = "artifacts/complete-model"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reproduced")
    parser.add_argument("--times", type=int, default=5, metavar="N")
    parser.add_argument("--models", nargs="*", default=[*MODELS, "dirty tree", "queued experiment"])
    arguments = parser.parse_args()
    worst = 0
    for name in arguments.models:
        with tempfile.TemporaryDirectory() as scratch:
            made = trained(name, Path(scratch))
            clone(Path(scratch) / "again")
            verdicts = [again(made, Path(scratch) / "again") for _ in range(arguments.times)]
        same = sum(code == 0 for code, _ in verdicts)
        found = ", ".join(sorted({verdict for _, verdict in verdicts}))
        print(f"{name:<20}{same} of {len(verdicts)}  {found}", flush=True)
        worst = max(worst, *(code for code, _ in verdicts))
    return worst


def trained(name: str, scratch: Path) -> Path:
    """A copy of the complete model, away from the clone that made it, which is removed."""
    place = clone(scratch / "first")
    if name == "queued experiment":
        changes = ("-S", "experiment=smoke", "-S", "train.lr=0.002", "-n", "queued")
        run(place, "python", "-m", "dvc", "exp", "run", "--queue", *changes)
        run(place, "python", "-m", "dvc", "queue", "start")
        run(place, "python", "-m", "dvc", "queue", "logs", "queued", "--follow")
        run(place, "python", "-m", "dvc", "exp", "apply", "queued")
    else:
        if name == "dirty tree":
            edited = place / "models/torch_mlp.py"
            edited.write_text(edited.read_text().replace("nn.ReLU()", "nn.Tanh()"))
        model = f"model={name if name in MODELS else 'torch_mlp'}"
        run(place, "python", "-m", "pipeline", *SMOKE, model, *MODELS.get(name, ()))
    made = Path(shutil.copytree(place / MODEL, scratch / "made"))
    shutil.rmtree(place)
    return made


def again(made: Path, place: Path) -> tuple[int, str]:
    """The exit code of `pipeline.reproduce`, and its verdict on each stage that is not the best."""
    command = [sys.executable, "-m", "pipeline.reproduce", "--json", str(made)]
    done = subprocess.run(command, cwd=place, env=environment(), capture_output=True, text=True)
    if done.returncode == 2:
        return 2, done.stderr.strip()
    return done.returncode, str(json.loads(done.stdout)["verdict"])


def clone(place: Path) -> Path:
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(place)], check=True)
    return place


def run(place: Path, *command: str) -> None:
    done = subprocess.run(command, cwd=place, env=environment(), capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def environment() -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path}


if __name__ == "__main__":
    sys.exit(main())

"""`python -m scripts.system_calls [folder]`: writes pipeline/sandbox/launcher/recorded.json.

Every model in models/ is trained for an epoch and exported in every format that holds it, in
projects of their own (in `folder`, where they are used again); then each format is screened,
answers and trains on as in `verify`, with its calls told instead of filtered. What was seen is
merged by machine and by the versions of the packages, so that a record made elsewhere stays. It
takes some minutes, a Linux of 5.5 or later, and the kernel's headers for the numbers.
"""

import contextlib
import importlib.metadata
import json
import platform
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline import formats
from pipeline.config.params import VerifyParams
from pipeline.config.reading import read
from pipeline.config.yaml_text import load_yaml
from pipeline.sandbox import processes
from pipeline.sandbox.launcher import calls
from testing import preloaded
from testing.project import ROOT, Project, make_project

RECORDED = Path(calls.__file__).with_name("recorded.json")
PACKAGES = ("keras", "numpy", "onnxruntime", "tensorflow", "torch")
STAGES = ("prepare", "train", "checkpoint", "export-complete")
BESIDE = {
    "torch_tabular": ("data=diabetes", "train=regression", "checkpoint=regression"),
    "keras_text_tabular": ("data=parcels",),
}
"""Model -> what it takes beside the smallest experiment."""
NUMBERED = ("kill", "sched_setaffinity", "tgkill")
"""Calls that name a process or a thread, another one every time."""
HEADERS = {
    "x86_64": ("asm/unistd_64.h", r"^#define __NR_(\w+)\s+(\d+)"),
    "aarch64": ("asm-generic/unistd.h", r"^#define __NR(?:3264)?_(\w+)\s+(\d+)"),
}
ALIAS = {"fstatat": "newfstatat"}
INCLUDED = ("/usr/include", f"/usr/include/{platform.machine()}-linux-gnu")


def main(arguments: list[str]) -> None:
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory())
        projects = Path(arguments[0] if arguments else scratch).resolve()
        seen: dict[str, set[tuple[int, ...]]] = {}
        for model in sorted(path.stem for path in (ROOT / "conf/model").glob("*.yaml")):
            project = _exported(projects / model, model)
            for name, forms in _calls_of(project).items():
                seen.setdefault(name, set()).update(forms)
            print(f"{model}: {len(seen)} calls by now", flush=True)
    _merge(seen)


def _exported(root: Path, model: str) -> Project:
    if (root / "artifacts/complete-model/provenance.json").is_file():
        return Project(root)
    framework = load_yaml((ROOT / f"conf/model/{model}.yaml").read_text(), model)["framework"]
    attempt = [n for n in formats.names() if framework in formats.declared(n).frameworks]
    project = make_project(root)
    more = (f"export.attempt=[{','.join(attempt)}]", *BESIDE.get(model, ()))
    project.params("experiment=smoke", f"model={model}", *more, "train.epochs=1")
    with preloaded.served():
        for stage in STAGES:
            project.stage(stage)
    return project


def _calls_of(project: Project) -> dict[str, set[tuple[int, ...]]]:
    """Returns the calls by name, each with those arguments that its form is judged by."""
    from pipeline.examine import loading
    from pipeline.verification.answers import collect_answers
    from pipeline.verification.evidence import read_evidence
    from pipeline.verify import held_formats

    params = read(VerifyParams, load_yaml(project.read("params.yaml"), "params.yaml"))
    complete, checkpoint = (
        project.root / "artifacts" / each for each in ("complete-model", "checkpoint")
    )
    held, trains, _ = held_formats(complete)
    promises = {
        name: formats.declared(name).promises.as_mapping() | {"trainable": name in trains}
        for name in held
    }
    data = project.root / "artifacts/data"
    evidence = read_evidence(complete, checkpoint, data, params, promises)
    with recorded() as seen, contextlib.chdir(project.root):
        loading.screen(complete, params.verify.limits)
        evidence = collect_answers(evidence, data)
        for name, answers in evidence.answers.items():
            if not answers.complete:
                raise SystemExit(f"{project.root}: {name}: {answers.at}: {answers.error}")
        for name, training in evidence.trainings.items():
            if training.error:
                raise SystemExit(f"{project.root}: {name}: {training.at}: {training.error}")
    return seen


@contextlib.contextmanager
def recorded() -> Iterator[dict[str, set[tuple[int, ...]]]]:
    """Has the supervisor start a launcher that tells the calls, and collects them at the end."""
    names = _names(platform.machine())
    noted = {
        number: [condition["argument"] for condition in calls.REASONED["forms"][name]["only"]]
        for number, name in names.items()
        if name in calls.REASONED["forms"] and name not in NUMBERED
    }
    seen: dict[str, set[tuple[int, ...]]] = {}
    before, forks = processes.LAUNCHER, processes.FORKS
    with tempfile.TemporaryDirectory() as scratch:
        launcher, told = Path(scratch, "launcher"), Path(scratch, "told")
        told.mkdir()
        launcher.mkdir()
        (launcher / "__main__.py").write_text(
            "import os, pathlib, platform, sys\n"
            f"sys.path[0:1] = [{str(before.parent)!r}, {str(Path(__file__).parent)!r}]\n"
            "import launcher, recorded\n"
            "del sys.path[:2]\n"
            f"to = pathlib.Path({str(told)!r}, f'{{os.getpid()}}.json')\n"
            f"launcher.calls.restrict = recorded.begin(to, {noted!r})\n"
            "launcher.main()\n"
        )
        processes.LAUNCHER, processes.FORKS = launcher, False  # a forked one is past its imports
        try:
            yield seen
        finally:
            processes.LAUNCHER, processes.FORKS = before, forks
        while list(told.glob("*.part")):
            time.sleep(0.1)
        for path in told.iterdir():
            for number, forms in json.loads(path.read_text()).items():
                cut: set[tuple[int, ...]] = {tuple(v & 0xFFFFFFFF for v in form) for form in forms}
                seen.setdefault(names[int(number)], set()).update(cut)


def _merge(seen: dict[str, set[tuple[int, ...]]]) -> None:
    """Adds what was seen to the record of this machine and these packages, and to the numbers."""
    never = {name for names in calls.REASONED["never"].values() for name in names}
    if wanted := sorted(never & seen.keys()):
        print(f"asked for, and never let through: {', '.join(wanted)}")
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    key: dict[str, Any] = {"machine": platform.machine(), "libc": "-".join(platform.libc_ver())}
    key |= {"with": {"python": platform.python_version(), **versions}}
    found = {name: forms for name, forms in seen.items() if name not in never}
    others = []
    for record in calls.RECORDED["records"]:
        if {**record, **key} != record:
            others.append(record)
            continue
        for name, forms in record["calls"].items():
            found[name] = {*map(tuple, forms), *found.get(name, ())}
    packed = {name: [list(f) for f in sorted(forms) if f] for name, forms in sorted(found.items())}
    calls.RECORDED = {"records": [*others, {**key, "calls": packed}]}
    numbers = {
        machine: {name: number for number, name in _names(machine).items()} for machine in HEADERS
    }
    calls.RECORDED["numbers"] = {
        name: [numbers[machine].get(name) for machine in calls.COLUMNS]
        for name in sorted(calls.allowed())
    }
    _write(calls.RECORDED)


def _write(content: dict[str, Any]) -> None:
    text = json.dumps(content, indent=1)
    text = re.sub(r"\[\s+([^\[\]]*?)\s+\]", lambda m: f"[{' '.join(m[1].split())}]", text)
    RECORDED.write_text(text + "\n")


def _names(machine: str) -> dict[int, str]:
    """Returns the calls by number, as the kernel's headers have them."""
    file, pattern = HEADERS[machine]
    for folder in INCLUDED:
        if (path := Path(folder, file)).is_file():
            found = re.findall(pattern, path.read_text(), re.MULTILINE)
            return {int(number): ALIAS.get(name, name) for name, number in found}
    raise SystemExit(f"{file}: not found in {', '.join(INCLUDED)}; install linux-libc-dev")


if __name__ == "__main__":
    main(sys.argv[1:])

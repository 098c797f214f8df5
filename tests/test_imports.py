"""Who may import whom, in one direction only."""

import ast
import re
from pathlib import Path

import pytest

from testing.imports import closure
from testing.project import ROOT

PACKAGE = ROOT / "pipeline"
FRAMEWORKS = ("torch", "keras", "tensorflow")
ONLY_OUR_OWN = {
    "models": ("models",),
    "pipeline/formats": ("pipeline.formats.",),
    "pipeline/frameworks": ("pipeline.frameworks.",),
    "pipeline/sandbox/launcher": ("pipeline.sandbox.launcher.",),
    "pipeline/sandbox/worker": ("pipeline.sandbox.worker.",),
    "pipeline/errors.py": (),
    "pipeline/text.py": (),
}
NEVER = {
    "pipeline/compose.py": (*FRAMEWORKS, "mlflow"),
    "pipeline/config": (*FRAMEWORKS, "mlflow", "dvc", "models"),
    "pipeline/diff": ("models", "pipeline.frameworks", "torch", "keras", "mlflow", "dvc"),
    "pipeline/examine": ("models", "pipeline.frameworks", *FRAMEWORKS, "mlflow"),
    "pipeline/log_to_mlflow.py": ("models", "pipeline.frameworks", *FRAMEWORKS),
    "pipeline/prepare.py": (*FRAMEWORKS, "mlflow"),
    "pipeline/relog": ("models", "pipeline.frameworks", *FRAMEWORKS, "mlflow"),
    "pipeline/resolve": ("models", "pipeline.frameworks", "torch", "keras", "mlflow", "dvc"),
    "pipeline/sandbox/launcher": ("models", "pipeline.config", "pipeline.formats", *FRAMEWORKS),
    "pipeline/trace": ("models", "pipeline.frameworks", "torch", "keras", "mlflow", "dvc"),
    "pipeline/tracking": ("models", "pipeline.frameworks", *FRAMEWORKS),
    "pipeline/untrusted": ("models", "pipeline.frameworks", *FRAMEWORKS),
    "pipeline/verification": ("models", "pipeline.frameworks", *FRAMEWORKS),
    "pipeline/verify.py": ("models", "pipeline.frameworks", *FRAMEWORKS),
}


def imported(path: Path) -> set[str]:
    """Dotted names, those inside functions included; `from a import b` is a.b."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            folder = path.relative_to(ROOT).parent.parts
            above = folder[: len(folder) - node.level + 1] if node.level else ()
            module = ".".join((*above, *filter(None, [node.module])))
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return found


def modules(place: str) -> list[Path]:
    path = ROOT / place
    found = [path] if path.is_file() else sorted(path.rglob("*.py"))
    assert found, place
    return found


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


@pytest.mark.parametrize("place", ONLY_OUR_OWN)
def test_models_frameworks_and_formats_import_nothing_else_of_ours(place):
    for path in modules(place):
        for name in imported(path):
            ours = within(name, "pipeline") or within(name, "models")
            assert not ours or name.startswith(ONLY_OUR_OWN[place] or "nothing"), f"{path}: {name}"


@pytest.mark.parametrize("place", NEVER)
def test_what_must_do_without_the_source_or_a_framework_imports_none(place):
    for path in modules(place):
        for name in imported(path):
            assert not any(within(name, each) for each in NEVER[place]), f"{path}: {name}"


def test_mlflow_is_loaded_by_its_own_stage_alone():
    loading = {
        p.relative_to(PACKAGE).parts[0]
        for p in PACKAGE.rglob("*.py")
        if any(within(n, "mlflow") for n in imported(p))
    }
    assert loading == {"log_to_mlflow.py", "tracking"}


@pytest.mark.parametrize("stage", ["verify", "log_to_mlflow"])
def test_after_the_reference_is_recorded_no_stage_loads_what_trains(stage):
    loaded = closure(PACKAGE / f"{stage}.py")
    assert not [each for each in loaded if each.startswith("pipeline/frameworks/")]


RUNS = (
    *("torch.load", "export.load", "load_pt2", "jit.load", "saved_model.load", "load_model"),
    *("onnx.load", "InferenceSession", "Interpreter", "load_training", "training_loader", "loader"),
    *("pickle.load", "pickle.loads", "Unpickler", "joblib.load", "marshal.loads", "h5py.File"),
    *("ParseFromString", "run_path", "spec_from_file_location", "tarfile.open", "exec", "eval"),
)
"""What loads a model's program, or parses what somebody may have crafted in a library's own code;
that of a format is in pipeline/formats, and is reached by `loader` and `training_loader`."""

LOADED = {
    "pipeline/complete_model/attempts.py": "own: what export-complete has just written",
    "pipeline/data/media/archives.py": "own: raw data below data/; members are read, none unpacked",
    "pipeline/data/media/worker.py": "own: what the process that started it hands it",
    "pipeline/data/media/workers.py": "own: what the processes that it started hand it",
    "pipeline/diff/weights.py": "confined: read_alone runs in reproduce/reading.py's process",
    "pipeline/foreign/_hdf5.py": "screened: by itself, before a value is read",
    "pipeline/foreign/_unpickle.py": "confined: pickled.extract runs it where it can do nothing",
    "pipeline/frameworks/_pytorch_training.py": "own: a net that was built here",
    "pipeline/frameworks/keras.py": "own: an epoch that train wrote, plain arrays",
    "pipeline/frameworks/_pytorch_saving.py": "own: an epoch that train wrote, weights_only",
    "pipeline/frameworks/_pytorch_shards.py": "own: an epoch that ranks wrote, by name",
    "pipeline/frameworks/pytorch.py": "own: a net that was built here",
    "pipeline/reproduce/read.py": "confined: takes our own package",
    "pipeline/reproduce/tensors.py": "confined: measure_all runs in reproduce/reading.py's process",
    "pipeline/runtimes/aoti_cpp/program/compile.py": "confined: where what lies in the model runs",
    "pipeline/runtimes/executorch_cpp/program/lower.py": "confined: where what lies in it runs",
    "pipeline/sandbox/fork_server.py": "confined: its children run the launcher",
    "pipeline/sandbox/launcher.py": "confined: runs the worker",
    "pipeline/sandbox/launcher/__init__.py": "confined: runs the worker",
    "pipeline/sandbox/worker/answering.py": "confined: verify's and examine's process",
    "pipeline/sandbox/worker/tasks.py": "confined: verify's and examine's process",
    "pipeline/sandbox/worker/speed.py": "confined: verify's process",
    "pipeline/sandbox/worker/training_on.py": "confined: verify's and examine's process",
    "pipeline/training/as_one.py": "own: files that train packed",
    "pipeline/training/parent.py": "screened: by examine's admission, in resume and in the stage",
    "pipeline/training/program.py": "screened: what a confined process wrote, by its format",
}
"""Who loads one -> whether it is confined, screened, or of our own making; docs/decisions.md has
the same with the reasons."""
FULL_PICKLE = {"pipeline/formats/torch_pickle/load.py", "pipeline/foreign/_unpickle.py"}
"""A format that promises nothing else, and that no command loads of a stranger; and what a confined
process does with a pickle that somebody says to trust."""


def calls(path: Path) -> list[ast.Call]:
    return [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]


def dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def loading(path: Path) -> set[str]:
    """Names of RUNS that a module calls, or makes a class of its own of."""
    named = {dotted(call.func) for call in calls(path)}
    for node in ast.walk(ast.parse(path.read_text())):
        named |= {dotted(base) for base in node.bases} if isinstance(node, ast.ClassDef) else set()
    return {name for name in RUNS for each in named if ends(each, name)}


def ends(name: str, part: str) -> bool:
    return name == part or name.endswith(f".{part}")


def test_a_model_is_loaded_in_no_place_but_those_that_confine_or_screen_it():
    elsewhere = [p for p in PACKAGE.rglob("*.py") if not p.is_relative_to(PACKAGE / "formats")]
    found = {p.relative_to(ROOT).as_posix(): loading(p) for p in elsewhere}
    assert {name: each for name, each in found.items() if each and name not in LOADED} == {}
    assert {each.partition(":")[0] for each in LOADED.values()} == {"confined", "screened", "own"}


def test_no_pickle_is_read_with_all_that_it_may_name():
    """A pickle in an array, or in a file of torch's, runs what it names."""
    for path in PACKAGE.rglob("*.py"):
        for call in calls(path):
            told = {word.arg: word.value for word in call.keywords}
            if ends(dotted(call.func), "np.load"):
                assert "allow_pickle" not in told or told["allow_pickle"].value is False, path
            if ends(dotted(call.func), "torch.load"):
                plain = getattr(told.get("weights_only"), "value", None) is True
                assert plain or path.relative_to(ROOT).as_posix() in FULL_PICKLE, path


ROOMS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
TRAINS_ON_A_STRANGERS = ("training", "examine")
"""The one way round: training looks at a stranger's model as `examine` does, before it loads it,
and `examine` judges by what `verification` compares, among others with training's metrics."""


def imported_rooms(room: str) -> set[str]:
    """Returns the other folders that modules of one import, late imports included."""
    names = {name for path in modules(f"pipeline/{room}") for name in imported(path)}
    ours = {name.split(".")[1] for name in names if within(name, "pipeline") and "." in name}
    return ours & set(ROOMS) - {room}


def around(rooms: dict[str, set[str]]) -> set[str]:
    """Returns the rooms that import themselves by way of others."""

    def reached(start: str) -> set[str]:
        waiting, seen = [start], set()
        while waiting:
            for each in rooms[waiting.pop()] - seen:
                seen.add(each)
                waiting.append(each)
        return seen

    return {room for room in rooms if room in reached(room)}


def test_rooms_import_each_other_in_one_direction():
    rooms = {room: imported_rooms(room) for room in ROOMS}
    one, other = TRAINS_ON_A_STRANGERS
    assert other in rooms[one] and around(rooms)
    rooms[one] -= {other}
    assert around(rooms) == set()


def test_a_way_round_would_be_noticed():
    assert around({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == {"a", "b", "c"}


def stated(docstring: str) -> set[str] | None:
    """Returns the rooms that a docstring says it imports; None where it does not say."""
    text = " ".join(docstring.split())
    names = re.search(r"It imports ((?:\w+, )*\w+(?: and \w+)?)[.,]", text)
    if "It imports nothing of ours" in text:
        return set()
    return set(re.split(", | and ", names[1])) if names else None


@pytest.mark.parametrize(
    "room", [room for room in ROOMS if not (PACKAGE / room / "__main__.py").is_file()]
)
def test_a_room_says_which_others_it_imports(room):
    docstring = ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text()))
    assert stated(docstring) == imported_rooms(room)


def test_what_a_room_says_is_read_as_it_stands():
    assert stated("A room.\n\nIt imports a, b_c\nand d.") == {"a", "b_c", "d"}
    assert stated("It imports nothing of ours.") == set()
    assert stated("A room.") is None

"""Every command reads a stranger's directory within bounds, and ends in one line."""

import contextlib
import hashlib
import json
import os
import pickle
import resource
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline import provenance
from pipeline.diff import main as diff
from pipeline.examine import admission, settings
from pipeline.reproduce import main as reproduce
from pipeline.trace import main as trace
from pipeline.untrusted import limits
from pipeline.verify_signature import main as verify_signature
from testing.project import Project
from tests.hostile.strangers import chain, fresh, nested, reseal

Spoil = Callable[[Path], object]
SECONDS = 20
"""Of processor time: a refusal needs a tenth of one, and what is not bounded minutes or more."""
LARGE = 1 << 39


@pytest.fixture(scope="module")
def model(trained: Project) -> Path:
    return trained.root / "artifacts/complete-model"


@pytest.fixture
def stranger(model: Path, tmp_path: Path) -> Path:
    return fresh(model, tmp_path)


@pytest.fixture
def standing(trained: Project, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The clone in which commands are run."""
    monkeypatch.chdir(trained.root)
    return trained.root


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    before = time.process_time()
    yield
    assert time.process_time() - before < SECONDS


def commands(directory: Path, model: Path, key: Path) -> dict[str, Callable[[], int]]:
    """All that read a directory from elsewhere."""
    return {
        "trace": lambda: trace([str(directory)]),
        "diff": lambda: diff([str(directory), str(model)]),
        "reproduce": lambda: reproduce([str(directory)]),
        "verify_signature": lambda: verify_signature([str(directory), "--trusted-key", str(key)]),
    }


def examined(directory: Path, tmp_path: Path) -> tuple[str, str]:
    """The last check and what it said, up to the loading."""
    results = admission.admit(directory, tmp_path / "copy", settings(), [], None)
    check, result = list(results)[-1]
    return check, result.text


def socketed(directory: Path) -> None:
    with contextlib.chdir(directory), socket.socket(socket.AF_UNIX) as opened:
        opened.bind("socket")


def linked_many_times(directory: Path) -> None:
    """A tar has no second copy of a file that is linked; whoever reads it, reads it each time."""
    os.truncate(directory / "README.md", 1 << 30)
    with (directory / "README.md").open("r+b") as file:
        file.write(b"x")
    for number in range(20):
        (directory / f"{number}.md").hardlink_to(directory / "README.md")


NOT_PLAIN: dict[str, tuple[Spoil, str]] = {
    "sparse": (lambda d: os.truncate(d / "model.pt2", LARGE), "expected no holes"),
    "many sparse": (
        lambda d: [(d / f"{n}").touch() or os.truncate(d / f"{n}", 1 << 30) for n in range(9)],
        "expected no holes",
    ),
    "linked many times": (linked_many_times, "expected no holes"),
    "pipe": (lambda d: os.mkfifo(d / "pipe"), "pipe: is a link, a pipe or a device"),
    "pipe for a file": (
        lambda d: [(d / "model.pt2").unlink(), os.mkfifo(d / "model.pt2")],
        "model.pt2: is a link, a pipe or a device",
    ),
    "pipe in lineage": (
        lambda d: os.mkfifo(d / "lineage/x.json"),
        "lineage/x.json: is a link, a pipe or a device",
    ),
    "socket": (socketed, "socket: is a link, a pipe or a device"),
    "link": (
        lambda d: [(d / "model.pt2").unlink(), (d / "model.pt2").symlink_to("/etc/passwd")],
        "model.pt2: is a link, a pipe or a device",
    ),
    "linked folder": (lambda d: (d / "more").symlink_to("/etc"), "more: is a link"),
    "endless device": (lambda d: (d / "zero").symlink_to("/dev/zero"), "zero: is a link"),
    "deep": (lambda d: (d / "/".join("a" * 14)).mkdir(parents=True), "directories deep"),
}


@pytest.mark.parametrize("kind", NOT_PLAIN)
def test_no_command_reads_what_is_no_plain_file_that_lies_there(
    stranger: Path,
    model: Path,
    standing: Path,
    tmp_path: Path,
    kind: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spoil, line = NOT_PLAIN[kind]
    spoil(stranger)
    (tmp_path / "key.pem").write_text(public_key())
    for name, command in commands(stranger, model, tmp_path / "key.pem").items():
        with bounded():
            assert command() != 0, name
        said = capsys.readouterr().err
        assert line in said and len(said.splitlines()) == 1, (name, said)
    assert examined(stranger, tmp_path)[0] == "plain files"


def public_key() -> str:
    from cryptography.hazmat.primitives import serialization as to
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    return key.public_bytes(to.Encoding.PEM, to.PublicFormat.SubjectPublicKeyInfo).decode()


def statement(text: str) -> Spoil:
    return lambda directory: (directory / provenance.NAME).write_text(text)


def deep_statement(depth: int) -> Spoil:
    """With a seal that fits, by the string that a forger's own program writes."""

    def spoil(directory: Path) -> None:
        reseal(directory, lambda each: each.update(x="@"))
        text = (directory / provenance.NAME).read_text()
        (directory / provenance.NAME).write_text(text.replace('"@"', nested(depth)))

    return spoil


def twice(directory: Path) -> None:
    reseal(directory, more=[{"name": "model.pt2", "digest": {"sha256": "0" * 64}}])


def twice_otherwise_written(directory: Path) -> None:
    reseal(directory, more=[{"name": "./model.pt2", "digest": {"sha256": "0" * 64}}])


def two_deps(directory: Path) -> None:
    other = {"name": "models", "digest": {"sha256": "0" * 64}}
    reseal(directory, lambda each: each["resolvedDependencies"].append(other))


def key_twice(directory: Path) -> None:
    text = (directory / provenance.NAME).read_text()
    changed = text.replace('"subject": [', '"subject": [], "subject": [', 1)
    (directory / provenance.NAME).write_text(changed)


def unlike(key: str, value: object) -> Spoil:
    def spoil(directory: Path) -> None:
        def edit(definition: dict) -> None:
            definition["externalParameters"][key] = value

        reseal(directory, edit)

    return spoil


def recorded(**train: object) -> Spoil:
    def spoil(directory: Path) -> None:
        reseal(directory, lambda d: d["externalParameters"]["params"]["train"].update(train))

    return spoil


STATEMENTS: dict[str, tuple[Spoil, str]] = {
    **{f"{n} deep": (deep_statement(n), "nested more than") for n in (100, 300, 960, 100_000)},
    "sparse": (lambda d: os.truncate(d / provenance.NAME, 64 << 20), "holds more than"),
    "long": (statement(" " * (limits.STATEMENT + 1)), "holds more than"),
    "many values": (statement("[" + "[]," * 5_000_000 + "[]]"), "holds more than"),
    "a long number": (statement(f'{{"a": {"9" * 5000}}}'), "a number of 5000 characters"),
    "a very long number": (statement(f'{{"a": 1.{"9" * 5_000_000}}}'), "a number of"),
    "half a character": (statement('{"a": "\\ud800"}'), "surrogates not allowed"),
    "a file twice": (twice, "names 'model.pt2' twice"),
    "a file by two names": (twice_otherwise_written, "names 'model.pt2' twice"),
    "a dep twice": (two_deps, "names 'models' twice"),
    "a key twice": (key_twice, "names 'subject' twice in one mapping"),
    "no params": (unlike("params", None), "no statement"),
    "a list of params": (unlike("params", {"train": []}), "no mapping"),
    "no stage": (unlike("stage", {}), "its stage is no text"),
    "the environment": (recorded(x="${oc.env:SECRET}"), "train.x: found an interpolation"),
}


@pytest.mark.parametrize("kind", STATEMENTS)
def test_no_command_goes_by_a_statement_beyond_reason(
    stranger: Path,
    model: Path,
    standing: Path,
    tmp_path: Path,
    kind: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spoil, line = STATEMENTS[kind]
    spoil(stranger)
    for name, command in list(commands(stranger, model, tmp_path).items())[:3]:
        with bounded():
            assert command() == 2, name
        said = capsys.readouterr().err
        assert line in said and len(said.splitlines()) == 1, (name, said)
    with bounded():
        check, said = examined(stranger, tmp_path)
    assert (check, line in said) == ("statement", True), said


@pytest.mark.parametrize(("length", "deps"), [(32, 2), (200, 3), (limits.STATEMENTS - 1, 1)])
def test_statements_that_name_each_other_are_walked_once(
    stranger: Path,
    standing: Path,
    tmp_path: Path,
    length: int,
    deps: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Twice the one before, and that twice the one before: 2^32 ways lead up."""
    chain(stranger, length, deps)
    with bounded():
        trace([str(stranger)])
    said = capsys.readouterr().out
    assert said.count("├─") + said.count("└─") < length * 3
    with bounded():
        assert reproduce([str(stranger)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    with bounded():
        assert examined(stranger, tmp_path)[0] != "lineage"


@pytest.mark.parametrize("kind", ["many", "large"])
def test_a_lineage_beyond_reason_is_not_read(
    stranger: Path,
    model: Path,
    standing: Path,
    tmp_path: Path,
    kind: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for number in range(limits.STATEMENTS if kind == "many" else 3):
        text = "{}" if kind == "many" else " " * (limits.LINEAGE // 3 + 1)
        (stranger / f"lineage/{number}.json").write_text(text)
    reseal(stranger)
    for command in list(commands(stranger, model, tmp_path).values())[:3]:
        with bounded():
            assert command() == 2
        assert "statements of" in capsys.readouterr().err
    check, said = examined(stranger, tmp_path)
    assert (check, "statements of" in said) == ("lineage", True), said


def pickled(places: object, content: bytes = pickle.dumps({})) -> Spoil:
    """Leaves the format alone whose weights are read by an index in JSON."""

    def spoil(directory: Path) -> None:
        for name in ("model.pt2", "optimizer.pt"):
            (directory / name).unlink()
        (directory / "model.pickle.pt").write_bytes(content)
        text = places if isinstance(places, str) else json.dumps({"weights": places})
        (directory / "model.pickle.json").write_text(text)
        reseal(directory)

    return spoil


INDEXES: dict[str, object] = {
    "a length beyond it": {"w": [0, 1 << 36, "float32"]},
    "a length below zero": {"w": [0, -1, "uint8"]},
    "an offset below zero": {"w": [-4, 4, "uint8"]},
    "an offset beyond any file": {"w": [1 << 70, 4, "uint8"]},
    "objects": {"w": [0, 8, "O"]},
    "a dtype of 2 GiB": {"w": [0, 0, "S2147483647"]},
    "half a number": {"w": [0, 3, "float32"]},
    "no place": {"w": 7},
    "no mapping": "[" * 10,
    "a deep one": '{"weights":' + "[" * 100_000 + "}",
}


@pytest.mark.parametrize("kind", INDEXES)
def test_an_index_of_weights_is_believed_within_its_file_alone(
    stranger: Path, tmp_path: Path, standing: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pickled(INDEXES[kind], bytes(64))(stranger)
    other = fresh(stranger, tmp_path / "other")
    with bounded(), memory(4 << 30):
        diff([str(stranger), str(other)])
    said = capsys.readouterr()
    assert "cannot be read" in said.out, said


@contextlib.contextmanager
def memory(most: int) -> Iterator[None]:
    """At most so much more than now."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def test_an_example_larger_than_described_is_not_read(
    stranger: Path, standing: Path, tmp_path: Path
) -> None:
    """Its header fits the file: only the schema says that it is too large."""
    examples = dict(np.load(stranger / "examples/one.npz"))
    examples["input.pixels"] = np.broadcast_to(np.float32(0), (1, 1 << 25))
    np.savez(stranger / "examples/one.npz", **examples)
    reseal(stranger)
    with bounded(), memory(64 << 20):
        check, said = examined(stranger, tmp_path)
    assert (check, "as float32[1, 64], found" in said) == ("examples", True), said


def test_a_metric_of_a_stranger_s_is_told_or_refused(
    stranger: Path, model: Path, standing: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for text in (nested(5000), '{"a": "x"}', "[]", '{"a": 1, "a": 2}', "NaN"):
        (stranger / "metrics.json").write_text(text)
        reseal(stranger)
        with bounded():
            assert diff([str(stranger), str(model)]) == 1
        assert "metrics.json: " in capsys.readouterr().out


def test_a_command_from_a_shell_ends_in_one_line(stranger: Path, standing: Path) -> None:
    deep_statement(960)(stranger)
    for tool in ("trace", "reproduce", "examine"):
        command = [sys.executable, "-m", f"pipeline.{tool}", str(stranger)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode in (1, 2) and "Traceback" not in done.stderr


LEAKS = ("${oc.env:SECRET}", "${.name}", "${${x}:SECRET}", "\\${oc.env:SECRET}")


@pytest.mark.parametrize("text", LEAKS)
def test_no_recorded_parameter_reads_the_environment_of_whoever_trains_on(
    stranger: Path, trained: Project, text: str
) -> None:
    def edit(definition: dict) -> None:
        definition["externalParameters"]["params"]["model"]["net"]["note"] = text

    reseal(stranger, edit)
    command = ("python", "-m", "pipeline.resume", str(stranger), "data=digits")
    done = trained.run(*command, check=False, SECRET="s3cr3t-value")
    assert done.returncode == 1 and len(done.stdout.splitlines()) == 1
    assert "model.net.note: found an interpolation" in done.stdout
    assert "s3cr3t" not in done.stdout and not (trained.root / "parents").exists()


def loop(directory: Path) -> None:
    (directory / "loop").symlink_to("loop")


def dangling(directory: Path) -> None:
    (directory / "lineage/gone.json").symlink_to("/nowhere/at/all")


@pytest.mark.parametrize("spoil", [loop, dangling])
def test_a_link_to_nowhere_is_a_link(
    stranger: Path, standing: Path, spoil: Spoil, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(stranger)
    assert trace([str(stranger)]) == 2
    assert "is a link, a pipe or a device" in capsys.readouterr().err


def test_an_archive_of_millions_of_members_is_not_listed(
    stranger: Path, standing: Path, tmp_path: Path
) -> None:
    """Its table is a hundred times the file that it is of."""
    path = stranger / "examples/one.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(60_000):
            archive.writestr(f"{number:050d}.npy", b"")
    reseal(stranger)
    with bounded():
        check, said = examined(stranger, tmp_path)
    assert (check, "table of contents" in said) == ("examples", True), said


def elsewhere(directory: Path) -> None:
    """Parameters of the data that `prepare` never wrote, in a statement of it."""
    path = directory / "lineage/prepare.json"
    text = json.loads(path.read_text())
    definition = text["predicate"]["buildDefinition"]
    definition["externalParameters"]["params"] = {"data": {"file": ["x"]}}
    sealed = provenance.sealed(text["subject"], definition)
    before, after = (
        hashlib.sha256(each.encode()).hexdigest() for each in (path.read_text(), sealed)
    )
    path.write_text(sealed)
    for name in ("train", "checkpoint"):
        path = directory / f"lineage/{name}.json"
        text = json.loads(path.read_text().replace(before, after))
        sealed = provenance.sealed(text["subject"], text["predicate"]["buildDefinition"])
        old = hashlib.sha256(path.read_text().encode()).hexdigest()
        path.write_text(sealed)
        before, after = old, hashlib.sha256(sealed.encode()).hexdigest()

    def edit(definition: dict) -> None:
        definition |= json.loads(json.dumps(definition).replace(before, after))

    reseal(directory, edit)


def test_parameters_that_no_stage_wrote_end_in_no_traceback(
    stranger: Path, model: Path, standing: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere(stranger)
    assert diff([str(stranger), str(model)]) in (1, 2)
    assert trace([str(stranger)]) in (0, 1)
    capsys.readouterr()


def test_what_a_statement_names_in_the_clone_is_hashed_once(
    stranger: Path, standing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stranger may name an environment of gigabytes, under a thousand names."""
    hashed = []
    of = provenance.digest
    monkeypatch.setattr(provenance, "digest", lambda path: hashed.append(path) or of(path))
    names = [".git", ".dvc", ".", ".venv/lib", "pipeline", "conf"]

    def edit(definition: dict) -> None:
        other = [{"name": name, "digest": {"sha256": "1" * 64}} for name in names]
        deps = [each for each in definition["resolvedDependencies"] if each["name"] not in names]
        deps[0]["digest"]["gitCommit"] = "0" * 40  # nobody has it, so the work tree is looked at
        definition["resolvedDependencies"] = [*deps, *other]

    reseal(stranger, edit)
    trace([str(stranger)])
    below = [path for path in hashed if path in {standing / name for name in names}]
    assert sorted(path.name for path in below) == ["conf", "pipeline"]

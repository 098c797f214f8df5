"""What a process that loads a model cannot do: each attempt is real, and stopped by its limit."""

import dataclasses
import errno
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from pipeline.config.params import Limits
from pipeline.sandbox import launcher, supervisor
from pipeline.sandbox.reports import Answers, read
from pipeline.sandbox.worker.job import Job
from testing import formats

pytestmark = pytest.mark.skipif(bool(launcher.lacking()), reason=str(launcher.lacking()))

ROOMY = Limits(memory_gib=4.0, minutes=1.0, file_gib=1.0)
ATTEMPT = """
import os, socket, subprocess, threading
from pathlib import Path
import numpy as np
FILE = "weights.npy"
OUTSIDE = Path({outside!r})
def attempt():
    {code}
def load(directory):
    attempt()
    weights = np.fromfile(directory / FILE, np.float32)
    return lambda inputs: {{"y": inputs["x"] * weights}}
def weights(directory):
    return {{"large": (FILE, 0, 12, "float32")}}
"""


@dataclass(frozen=True)
class Den:
    root: Path

    @property
    def outside(self) -> Path:
        return self.root / "outside"

    def job(self, code: str) -> Job:
        work_dir = self.root / "room"
        job = supervisor.new_job(
            work_dir,
            "answer",
            "plain",
            complete_model=self.root / "model",
            batches={"one": self.root / "given/one.npz"},
            training=self.root / "none",
            threads=1,
            refused=["pipeline"],
            copy=str(work_dir / "copy"),
            test={"x": str(self.root / "given/x.npy")},
            scored="y",
            rows=4,
        )
        text = ATTEMPT.format(outside=str(self.outside), code=code)
        formats.write(work_dir / "alone/formats", "plain", text, "weights.npy")
        return job

    def run(self, code: str, **changes: float) -> Answers:
        job, limits = self.job(code), dataclasses.replace(ROOMY, **changes)
        readable = [self.root / "model", self.root / "given"]
        return read(Answers, job, supervisor.run(job, self.root / "room", readable, limits), limits)


@pytest.fixture
def den(tmp_path: Path) -> Iterator[Den]:
    for folder in ("model", "given", "outside"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "outside/secret").write_text("token")
    np.array([1, 2, 3], np.float32).tofile(tmp_path / "model/weights.npy")
    np.savez(tmp_path / "given/one.npz", **{"input.x": np.ones((1, 3), np.float32)})
    np.save(tmp_path / "given/x.npy", np.ones((5, 3), np.float32))
    yield Den(tmp_path)
    assert sorted(path.name for path in (tmp_path / "outside").iterdir()) == ["secret"]
    assert (tmp_path / "outside/secret").read_text() == "token"


def test_a_model_that_keeps_to_itself_answers_and_is_perturbed(den: Den) -> None:
    found = den.run("(Path.cwd() / 'note').write_text('its own room is its to write')")
    assert (found.error, found.at, found.weight) == (None, "done", "large")


FILES = "no file is in reach but its own (Landlock)"
CALLS = "no network and no other process is (seccomp)"


@pytest.mark.parametrize(
    ("code", "limit"),
    [
        ("(OUTSIDE / 'new').write_text('x')", FILES),
        ("(OUTSIDE / 'secret').read_text()", FILES),
        ("(OUTSIDE / 'secret').unlink()", FILES),
        ("os.rename(OUTSIDE / 'secret', 'mine')", FILES),
        ("os.link(OUTSIDE / 'secret', 'mine')", FILES),
        ("os.symlink(OUTSIDE, 'mine')", FILES),
        ("os.listdir(__import__('pwd').getpwuid(os.getuid()).pw_dir)", FILES),
        ("Path('/etc/shadow').read_text()", FILES),
        ("Path(f'/proc/{os.getppid()}/environ').read_bytes()", FILES),
        ("(Path('/proc/self/root') / OUTSIDE / 'secret').read_text()", FILES),
        ("(Path('/dev/shm') / 'new').write_text('x')", FILES),
        ("os.mkfifo('pipe')", FILES),
        ("os.truncate(OUTSIDE / 'secret', 0)", CALLS),
        ("os.chmod(OUTSIDE / 'secret', 0o777)", CALLS),
        ("os.utime(OUTSIDE / 'secret')", CALLS),
        ("socket.create_connection(('127.0.0.1', 9))", CALLS),
        ("socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)", CALLS),
        ("socket.socket(socket.AF_UNIX)", CALLS),
        ("subprocess.run(['/bin/true'])", CALLS),
        ("os.posix_spawn('/bin/true', ['true'], {})", CALLS),
        ("os.execv('/bin/true', ['true'])", CALLS),
        ("os.fork()", CALLS),
        ("os.kill(os.getppid(), 0)", CALLS),
        ("np.empty(100 << 27)", "verify.limits.memory_gib is 4"),
    ],
)
def test_what_is_not_its_own_is_out_of_reach_and_the_line_says_why(
    den: Den, code: str, limit: str
) -> None:
    found = den.run(code)
    assert found.at == "first_load"
    assert str(found.error).endswith(f"; it is confined: {limit}"), found.error


def test_a_thread_can_do_no_more(den: Den) -> None:
    inner = "lambda: (OUTSIDE / 'new').write_text('x')"
    found = den.run(f"t = threading.Thread(target={inner}); t.start(); t.join()")
    assert found.error is None


def test_limits_cannot_be_lifted_again(den: Den) -> None:
    code = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 60, 1 << 60))"
    assert "not allowed to raise maximum limit" in str(den.run(code).error)


@pytest.mark.parametrize(
    ("code", "limits", "line"),
    [
        (
            "kept = [bytearray(b'x') * (16 << 20) for _ in range(1 << 20)]",
            {"memory_gib": 0.3},
            "at the limit of memory, using",
        ),
        (
            "while True: pass",
            {"minutes": 0.02},
            "at the limit of time: verify.limits.minutes is 0.02",
        ),
        (
            "file = open('big', 'wb'); [file.write(b'x' * 4096) for _ in range(1 << 30)]",
            {"file_gib": 0.01},
            "verify.limits.file_gib is 0.01",
        ),
        (
            "[Path(f'{n}').write_bytes(bytes(1 << 20)) for n in range(3000)]",
            {"file_gib": 0.01},
            "at the limit of files: verify.limits.file_gib is 0.01",
        ),
        (
            "[os.write(2, b'x' * 65536) for _ in range(1 << 30)]",
            {"file_gib": 0.01},
            "verify.limits.file_gib is 0.01",
        ),
    ],
    ids=["memory", "time", "a file", "files", "last words"],
)
def test_what_never_ends_is_ended(den: Den, code: str, limits: dict[str, float], line: str) -> None:
    start = time.monotonic()
    found = den.run(code, **limits)
    assert line in str(found.error), found.error
    assert time.monotonic() - start < 20


@pytest.mark.parametrize(
    "code",
    [
        "Path('../report.json').write_text('[' * 100000); os._exit(0)",
        "Path('../report.json').write_text('{}'); os._exit(0)",
        'Path(\'../report.json\').write_text(\'{"error": null, "at": "done"}\'); os._exit(0)',
        "Path('../report.json').write_text('{}'); os.mkdir('../answers.npz'); os._exit(0)",
    ],
)
def test_a_forged_report_that_holds_no_answers_is_none(den: Den, code: str) -> None:
    found = den.run(code)
    assert not found.complete
    assert str(found.error).startswith("its report cannot be read: ")


def test_answers_that_unpack_to_more_than_memory_may_hold_are_not_read(den: Den) -> None:
    code = "np.savez_compressed('../answers.npz', x=np.zeros(64 << 20, np.uint8))"
    code += "; Path('../report.json').write_text('{}'); os._exit(0)"
    found = den.run(code, memory_gib=0.05)
    assert "answers.npz: unpacks to 6710" in str(found.error)


def test_without_confinement_the_attempt_succeeds_and_the_report_says_so(
    den: Den, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the tests above see what they claim to see."""
    reasons = {"files": "this kernel has no Landlock", "calls": "no seccomp"}
    monkeypatch.setattr(launcher, "lacking", lambda: reasons)
    found = den.run("assert (OUTSIDE / 'secret').read_text(); subprocess.run(['/bin/true'])")
    assert found.error is None
    assert supervisor.description(ROOMY)["files"] == "NOT CONFINED: this kernel has no Landlock"


PARENT = """
import json, sys
from pathlib import Path
from pipeline.sandbox import supervisor
from pipeline.config.params import Limits
from pipeline.sandbox.worker.job import Job
root, job = Path(sys.argv[1]), Job(**json.loads(sys.argv[2]))
given = [root / "model", root / "given"]
print("begun", flush=True)
supervisor.run(job, root / "room", given, Limits(4.0, 1.0, 1.0))
""".replace("Limits(4.0, 1.0, 1.0)", "Limits(memory_gib=4.0, minutes=1.0, file_gib=1.0)")


def test_it_dies_with_its_parent(den: Den) -> None:
    job = den.job("Path('pid').write_text(str(os.getpid())); __import__('time').sleep(50)")
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(den.root), json.dumps(dataclasses.asdict(job))]
    )
    told, until = den.root / "room/empty/pid", time.monotonic() + 20
    while not (told.is_file() and told.read_text()) and time.monotonic() < until:
        time.sleep(0.05)
    child = int(told.read_text())
    assert alive(child)
    parent.kill()
    parent.wait()
    while alive(child) and time.monotonic() < until:
        time.sleep(0.05)
    assert not alive(child)


def alive(process: int) -> bool:
    status = Path(f"/proc/{process}/status")
    return status.is_file() and "\nState:\tZ" not in status.read_text()


REFUSED, LET = 0x00050000 | errno.EPERM, 0x7FFF0000
NUMBERS = {"x86_64": {"read": 0, "execve": 59}, "aarch64": {"read": 63, "execve": 221}}


def judged(machine: str, number: int, *arguments: int, architecture: int | None = None) -> int:
    """What the filter returns, by the rules of a seccomp filter."""
    lines = launcher.program_for(machine, 42)
    words = [number, architecture or launcher.ARCHITECTURES[machine], 0, 0]
    for argument in (*arguments, *[0] * (6 - len(arguments))):
        words += [argument & 0xFFFFFFFF, argument >> 32]
    at, value = 0, 0
    while True:
        code, yes, no, k = lines[at]
        if code == launcher.RETURN:
            return k
        if code == launcher.LOAD:
            value, at = words[k // 4], at + 1
            continue
        tests = {launcher.EQUAL: value == k, launcher.AT_LEAST: value >= k}
        tests[launcher.ANY_BIT] = bool(value & k)
        at += 1 + (yes if tests[code] else no)


@pytest.mark.parametrize("machine", NUMBERS)
def test_the_filter_lets_through_what_it_should_on_either_machine(machine: str) -> None:
    column = launcher.COLUMNS[machine]
    assert judged(machine, NUMBERS[machine]["read"]) == LET
    assert judged(machine, NUMBERS[machine]["execve"]) == REFUSED
    assert judged(machine, launcher.CLONE[column], 0x10000) == LET
    assert judged(machine, launcher.CLONE[column], 17) == REFUSED
    assert judged(machine, launcher.CLONE3[column]) == 0x00050000 | errno.ENOSYS
    assert judged(machine, launcher.TGKILL[column], 42) == LET
    assert judged(machine, launcher.TGKILL[column], 43) == REFUSED
    assert judged(machine, launcher.PRCTL[column], 1) == REFUSED
    assert judged(machine, launcher.PRCTL[column], 15) == LET
    assert judged(machine, launcher.PRLIMIT[column], 0, 7, 0) == LET
    assert judged(machine, launcher.PRLIMIT[column], 0, 7, 1 << 32) == REFUSED
    assert judged(machine, launcher.PRLIMIT[column], 0, 7, 1) == REFUSED
    assert judged(machine, 0, architecture=0x40000003) == 0x80000000
    if machine == "x86_64":
        assert judged(machine, 0x40000000 + 59) == REFUSED


def test_this_process_itself_is_not_confined() -> None:
    assert launcher.lacking() == {}
    with Path(os.devnull).open("w"):
        subprocess.run(["true"], check=True)

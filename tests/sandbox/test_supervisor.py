"""What a process that loads a model cannot do: each attempt is real, and stopped by its limit."""

import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.sandbox import launcher, supervisor
from testing.confined import ROOMY, Den

pytestmark = pytest.mark.skipif(bool(launcher.lacking()), reason=str(launcher.lacking()))


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
        ("os.link(OUTSIDE / 'secret', 'mine')", CALLS),
        ("os.symlink(OUTSIDE, 'mine')", CALLS),
        ("os.listdir('/root')", FILES),
        ("Path('/etc/shadow').read_text()", FILES),
        ("Path(f'/proc/{os.getppid()}/environ').read_bytes()", FILES),
        ("(Path('/proc/self/root') / OUTSIDE / 'secret').read_text()", FILES),
        ("(Path('/dev/shm') / 'new').write_text('x')", FILES),
        ("os.mkfifo('pipe')", CALLS),
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
            {},
            "at the limit of words: 16 MiB may be said on stderr",
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
    code = "np.savez_compressed('../answers.npz', x=np.zeros(192 << 20, np.uint8))"
    code += "; Path('../report.json').write_text('{}'); os._exit(0)"
    found = den.run(code, memory_gib=0.15)
    assert "answers.npz: unpacks to 2013" in str(found.error)


def test_a_list_of_arrays_that_would_fill_the_reader_s_memory_is_not_read(den: Den) -> None:
    """A hundred bytes of the file are a kilobyte of whoever lists it."""
    entry = "b'PK\\x01\\x02' + bytes(24) + (50).to_bytes(2, 'little') + bytes(16) + b'x' * 50"
    found = den.run(f"""
        many, entry = 100_000, {entry}
        import struct
        end = struct.pack("<4sHHHHLLH", b"PK\\x05\\x06", 0, 0, 1, 1, many * len(entry), 0, 0)
        Path("../answers.npz").write_bytes(entry * many + end)
        Path("../report.json").write_text("{{}}")
        os._exit(0)
    """)
    assert "answers.npz: its list of arrays is too long" in str(found.error)


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


def test_this_process_itself_is_not_confined() -> None:
    assert launcher.lacking() == {}
    with Path(os.devnull).open("w"):
        subprocess.run(["true"], check=True)

"""A command runs to its end, is ended with all that it started, and what it prints is kept."""

import contextlib
import io
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from pipeline.run import children
from pipeline.run.signals import SAME, Interrupted
from pipeline.training.command import process


def python(text: str) -> list[str]:
    return [sys.executable, "-S", "-c", textwrap.dedent(text)]


def run(text: str, **environ: str) -> tuple[process.Ended, bytes]:
    log = io.BytesIO()
    return process.run(python(text), {**os.environ, **environ}, log), log.getvalue()


def wait_for(path: Path) -> int:
    """The number that a process wrote there."""
    end = time.monotonic() + 20
    while not (path.is_file() and path.read_text()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return int(path.read_text())


def demand_gone(number: int, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    with contextlib.suppress(OSError):  # it is gone
        while Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
            assert time.monotonic() < end, f"process {number} still runs"
            time.sleep(0.05)


def test_what_is_printed_is_shown_and_kept_and_its_last_line_is_told(capfd):
    ended, log = run(
        "import sys; print('one', flush=True); "
        "print('\\x1b[31mtwo\\x1b[0m\\r3 of 4', file=sys.stderr)"
    )
    assert (ended.code, ended.last_line) == (0, "3 of 4")
    assert b"one\n" in log
    assert capfd.readouterr().out.encode() == log


def test_a_command_that_fails_says_with_what():
    assert run("import sys; print('no room'); sys.exit(3)")[0].how == "ended with 3"
    killed, _ = run("import os; os.kill(os.getpid(), 9)")
    assert (killed.code, killed.how, killed.last_line) == (137, "was killed by SIGKILL", "")


def test_it_reads_nothing_of_the_terminal():
    assert run("import sys; print(repr(sys.stdin.read()))")[0].last_line == "''"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_the_command_and_its_children_and_ends_the_stage_then(number, tmp_path):
    text = f"""
        import os, signal, sys, time
        name = "child" if os.fork() == 0 else "parent"
        def end(number, frame):
            open({str(tmp_path)!r} + "/" + name, "w").write(str(number))
            sys.exit(0)
        signal.signal({int(number)}, end)
        open({str(tmp_path)!r} + "/ready." + name, "w").write("1")
        time.sleep(30)
    """

    def send() -> None:
        wait_for(tmp_path / "ready.parent")
        wait_for(tmp_path / "ready.child")
        os.kill(os.getpid(), number)

    threading.Thread(target=send).start()
    with pytest.raises(Interrupted) as end:
        run(text)
    assert end.value.number == number
    assert [(tmp_path / name).read_text() for name in ("parent", "child")] == [str(int(number))] * 2


def test_a_second_signal_kills_what_does_not_end(tmp_path):
    text = f"""
        import os, signal, time
        signal.signal(signal.SIGTERM, lambda *_: open({str(tmp_path / "told")!r}, "w").write("1"))
        open({str(tmp_path / "pid")!r}, "w").write(str(os.getpid()))
        while True:
            time.sleep(1)
    """

    def send() -> None:
        wait_for(tmp_path / "pid")
        os.kill(os.getpid(), signal.SIGTERM)
        wait_for(tmp_path / "told")
        time.sleep(1.5 * SAME)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=send).start()
    with pytest.raises(Interrupted):
        run(text)
    demand_gone(int((tmp_path / "pid").read_text()))


def test_a_signal_that_reaches_the_supervisor_as_well_is_no_second_one(tmp_path):
    text = f"""
        import os, signal, sys, time
        def end(*_):
            time.sleep(1)
            open({str(tmp_path / "saved")!r}, "w").write("1")
            sys.exit(3)
        signal.signal(signal.SIGTERM, end)
        open({str(tmp_path / "pid")!r}, "w").write(str(os.getpid()))
        while True:
            time.sleep(1)
    """

    def send() -> None:
        wait_for(tmp_path / "pid")
        for each in (os.getpid(), *children.commands_of(os.getpid())):
            os.kill(each, signal.SIGTERM)

    threading.Thread(target=send).start()
    with pytest.raises(Interrupted):
        run(text)
    assert (tmp_path / "saved").exists()


def test_nothing_that_it_started_outlives_it(tmp_path):
    text = f"""
        import os, time
        if os.fork() == 0:
            os.setsid()
            open({str(tmp_path / "pid")!r}, "w").write(str(os.getpid()))
            time.sleep(60)
        while not os.path.exists({str(tmp_path / "pid")!r}):
            time.sleep(0.01)
    """
    assert run(text)[0].code == 0
    demand_gone(wait_for(tmp_path / "pid"))


STAGE = """
import io, os, sys
from pathlib import Path
from pipeline.run.lock import exclusive_writer
from pipeline.training.command import process
with exclusive_writer(Path(sys.argv[1])):
    process.run(sys.argv[2:], os.environ, io.BytesIO())
"""


def test_the_command_ends_when_the_stage_is_killed_and_holds_its_lock_until_then(tmp_path):
    from pipeline.run.lock import exclusive_writer

    command = python(f"""
        import os, signal, time
        def end(*_):
            time.sleep(0.5)
            os._exit(0)
        signal.signal(signal.SIGTERM, end)
        open({str(tmp_path / "pid")!r}, "w").write(str(os.getpid()))
        time.sleep(60)
    """)
    output = tmp_path / "output"
    stage = subprocess.Popen([sys.executable, "-c", STAGE, str(output), *command])
    number = wait_for(tmp_path / "pid")
    stage.kill()
    stage.wait()
    assert Path(f"/proc/{number}").exists()
    with exclusive_writer(output):  # who takes its place waits
        demand_gone(number, 1)


def test_a_log_that_cannot_be_written_is_said_when_the_command_has_ended():
    class Full(io.BytesIO):
        def write(self, _):
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        process.run(python("print('x' * 1000000)"), os.environ, Full())

"""What was tried from inside the confined process, beyond single calls: each came through once."""

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.sandbox import disk, launcher, supervisor, watch
from testing.confined import ROOMY, Den

NOBODY = 65534
pytestmark = pytest.mark.skipif(bool(launcher.lacking()), reason=str(launcher.lacking()))


def tried(den: Den, code: str, **limits: float) -> Any:
    """What the attempt found out, as it says itself."""
    found = den.run(f"{code}\nPath('said.json').write_text(json.dumps(said))", **limits)
    assert found.error is None, found.error
    return json.loads((den.root / "room/empty/said.json").read_text())


ERRORS = """
said = {}
def attempt_it(name, do):
    try:
        said[name] = f"came through: {str(do())[:80]}"
    except OSError as error:
        said[name] = errno.errorcode[error.errno]
"""


def test_what_an_open_file_could_be_made_to_do_to_others_is_refused(den: Den) -> None:
    said = tried(
        den,
        ERRORS
        + """
ends = socket.socketpair()
file = open("mine", "wb+")
attempt_it("own", lambda: fcntl.fcntl(ends[0], 8, os.getppid()))
attempt_it("own thread", lambda: fcntl.fcntl(ends[0], 15, bytes(8)))
attempt_it("signal", lambda: fcntl.fcntl(ends[0], 10, 9))
attempt_it("lease", lambda: fcntl.fcntl(file, 1024, 0))
attempt_it("notice", lambda: fcntl.fcntl(os.open(".", 0), 1026, 0x8000003F))
attempt_it("pipe", lambda: fcntl.fcntl(os.pipe()[0], 1031, 1 << 20))
attempt_it("datagram", lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
attempt_it("sequenced", lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET))
attempt_it("hand on", lambda: socket.send_fds(ends[0], [b"x"], [file.fileno()]))
attempt_it("flags", lambda: fcntl.ioctl(file, 0x40086602, bytes(8)))
attempt_it("extended", lambda: fcntl.ioctl(file, 0x401C5820, bytes(28)))
attempt_it("type", lambda: fcntl.ioctl(2, 0x5412, b"x"))
attempt_it("console", lambda: fcntl.ioctl(2, 0x541C, b"x"))
attempt_it("clone a file", lambda: fcntl.ioctl(file, 0x40049409, 0))
attempt_it("priority", lambda: os.setpriority(os.PRIO_PROCESS, os.getppid(), 5))
attempt_it("scheduler", lambda: os.sched_setscheduler(os.getppid(), 3, os.sched_param(0)))
attempt_it("processors", lambda: os.sched_setaffinity(os.getppid(), {0}))
for end in ends:
    end.close()
""",
    )
    ours = dict.fromkeys(("flags", "extended", "type", "console", "clone a file"), "ENOTTY")
    expected = dict.fromkeys(said, "EPERM") | ours
    assert said == expected


def test_names_outside_are_not_seen_and_nothing_is_told_of_the_machine(den: Den) -> None:
    (den.outside / "secret").chmod(0o644)
    paths = [
        *(
            f"/proc/self/{name}"
            for name in ("mountinfo", "mounts", "cgroup", "environ", "root/etc")
        ),
        *("/proc/self/net/tcp", "/proc/self/net/unix", "/proc/self/task", "/proc/self/mountstats"),
        *("/proc/1/status", "/proc", "/proc/net/tcp", "/proc/sys/kernel/hostname", "/proc/mounts"),
        *("/etc/passwd", "/etc/hostname", "/etc/machine-id", "/sys/fs/cgroup", "/sys/class/net"),
        *("/dev/shm", "/dev/zero", "/dev/tty", "/root", "/home", "/tmp"),
    ]
    said = tried(
        den,
        ERRORS
        + f"""
for path in {paths!r}:
    attempt_it(path, lambda: os.open(path, os.O_RDONLY))
attempt_it("stat", lambda: os.stat(OUTSIDE / "secret"))
attempt_it("stat of a process", lambda: os.stat("/proc/1"))
attempt_it("link", lambda: os.readlink("/proc/1/exe"))
attempt_it("there", lambda: os.access(OUTSIDE, os.F_OK) or os.stat(OUTSIDE))
said["name"] = os.uname().nodename
""",
    )
    assert {path: said[path] for path in paths if said[path] not in ("EACCES", "ENOENT")} == {}
    if may_have_name_spaces():
        seen = {name: said[name] for name in ("stat", "stat of a process", "link", "there")}
        assert seen == dict.fromkeys(seen, "ENOENT")
        assert said["name"] == "confined"


def may_have_name_spaces() -> bool:
    unshare = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--user"]), "true"]
    return subprocess.run(unshare, capture_output=True, check=False).returncode == 0


def test_nothing_is_left_of_what_root_may_but_to_open_files(den: Den) -> None:
    said = tried(den, "said = [x for x in Path('/proc/self/status').read_text().splitlines()]")
    held = {line.split()[0]: int(line.split()[1], 16) for line in said if line.startswith("Cap")}
    assert held["CapEff:"] & ~2 == held["CapPrm:"] & ~2 == held["CapInh:"] == 0


def test_memory_that_is_shared_and_has_no_name_is_not_to_be_had(den: Den) -> None:
    """It stays when the process lets go of its pages, and then nobody counts it."""
    said = tried(
        den,
        ERRORS
        + """
attempt_it("shared", lambda: mmap.mmap(-1, 1 << 20))
attempt_it("in a file of memory", lambda: os.memfd_create("x"))
attempt_it("own", lambda: len(mmap.mmap(-1, 1 << 20, flags=mmap.MAP_PRIVATE | 0x20)))
""",
    )
    expected = {"shared": "ENOMEM", "in a file of memory": "ENOSYS"}
    assert said == expected | {"own": "came through: 1048576"}


WAIT = "time.sleep(20)"


@pytest.mark.parametrize(
    ("code", "limits", "line"),
    [
        (
            "held = [open(f'x{n}', 'wb') for n in range(40)]\n"
            "[(os.unlink(each.name), each.write(bytes(1 << 20)), each.flush()) for each in held]",
            {"file_gib": 0.02},
            "at the limit of files: verify.limits.file_gib is 0.02",
        ),
        (
            "held = [os.open('.', os.O_TMPFILE | os.O_RDWR, 0o600) for _ in range(40)]\n"
            "[os.write(each, bytes(1 << 20)) for each in held]",
            {"file_gib": 0.02},
            "at the limit of files: verify.limits.file_gib is 0.02",
        ),
        (
            "held = []\n"
            "for n in range(40):\n"
            "    with open('x', 'wb+') as file:\n"
            "        file.write(bytes(1 << 20))\n"
            "        file.flush()\n"
            "        held.append(mmap.mmap(file.fileno(), 4096))\n"
            "    for number in map(int, os.listdir('/proc/self/fd')):\n"
            "        if number > 2 and os.path.realpath(f'/proc/self/fd/{number}')[-2:] == '/x':\n"
            "            os.close(number)\n"
            "    os.unlink('x')",
            {"file_gib": 0.02},
            "at the limit of files: verify.limits.file_gib is 0.02",
        ),
        (
            "held = os.open('x', os.O_CREAT | os.O_RDWR)\nos.posix_fallocate(held, 0, 15 << 20)\n"
            "held = os.open('y', os.O_CREAT | os.O_RDWR)\nos.posix_fallocate(held, 0, 15 << 20)",
            {"file_gib": 0.02},
            "at the limit of files: verify.limits.file_gib is 0.02",
        ),
        (
            "for _ in range(3000):\n    os.mkdir('d' * 50)\n    os.chdir('d' * 50)",
            {},
            "at the limit of folders: 64 in one another may be",
        ),
        (
            "for _ in range(60):\n    os.mkdir('d' * 99)\n    os.chdir('d' * 99)\n"
            "[Path(f'x{n}').write_bytes(bytes(1 << 20)) for n in range(40)]",
            {"file_gib": 0.02},
            "at the limit of files: verify.limits.file_gib is 0.02",
        ),
        (
            "[open(f'x{n}', 'w').close() for n in range(30000)]",
            {},
            "at the limit of files: 20000 may be, folders included",
        ),
        (
            "[os.mkdir(f'x{n}') for n in range(2000)]",
            {"file_gib": 0.004},
            "at the limit of files: verify.limits.file_gib is 0.004",
        ),
        (
            "threading.stack_size(32768)\n"
            "for _ in range(3000):\n"
            "    threading.Thread(target=time.sleep, args=(20,), daemon=True).start()",
            {},
            "at the limit of threads, with ",
        ),
        (
            "libc = ctypes.CDLL(None)\n"
            "libc.prctl(15, b'\\x0bVmPTE: -99999', 0, 0, 0)\n"
            "held = bytearray(b'x') * (70 << 20)",
            {"memory_gib": 0.08},
            "at the limit of memory, using ",
        ),
        (
            "ctypes.CDLL(None).prctl(15, b'\\xff\\xfe', 0, 0, 0)\n"
            "held = bytearray(b'x') * (70 << 20)",
            {"memory_gib": 0.08},
            "at the limit of memory, using ",
        ),
        (
            "held = []\n"
            "for n in range(40):\n"
            "    name = f'x{n}\\rx (deleted)'\n"
            "    Path(name).write_bytes(bytes(1 << 20))\n"
            "    held.append(np.memmap(name, np.uint8, 'r'))\n"
            "    os.unlink(name)",
            {"file_gib": 0.02},
            "at the limit of files: verify.limits.file_gib is 0.02",
        ),
        (
            "pages = mmap.mmap(-1, 12 << 30, flags=mmap.MAP_PRIVATE | 0x20)\n"
            "pages.madvise(15)\n"
            "[pages.__setitem__(at, 1) for at in range(0, 12 << 30, 2 << 20)]",
            {"memory_gib": 0.06},
            "at the limit of memory, using ",
        ),
    ],
    ids=[
        *(
            "without a name",
            "never named",
            "mapped",
            "reserved",
            "deep",
            "hidden in the deep",
            "many",
        ),
        *(
            "folders",
            "threads",
            "a name that counts",
            "a name that is no text",
            "a name that ends a line",
        ),
        "tables of pages",
    ],
)
def test_what_is_taken_without_bound_is_counted_and_ends_it(
    den: Den, code: str, limits: dict[str, float], line: str
) -> None:
    start = time.monotonic()
    found = den.run(f"{code}\n{WAIT}", **limits)
    assert line in str(found.error), found.error
    assert time.monotonic() - start < 20
    assert list((den.root / "room").iterdir()) == []


def test_what_is_left_behind_can_be_removed_however_deep_it_is(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d" * 50, dir_fd=here)
        below = os.open("d" * 50, os.O_RDONLY, dir_fd=here)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        os.close(here)
        here = below
    os.close(here)
    disk.empty(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_last_that_it_says_is_kept_however_much_it_said(den: Den) -> None:
    found = den.run(
        "[os.write(2, b'x' * 65535 + b'\\n') for _ in range(200)]; os.write(2, b'end'); os._exit(3)"
    )
    assert str(found.error) == "the process ended with exit code 3 and no report: end"
    assert watch.MOST_WORDS == 16 << 20


def test_one_that_says_no_more_is_watched_all_the_same(den: Den) -> None:
    found = den.run("os.close(2)\nwhile True: pass", minutes=0.02)
    assert "at the limit of time" in str(found.error)


def test_where_the_system_gives_no_mount_name_space_the_walls_hold_without_it(
    den: Den, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The names outside are seen then, as the documents say, and nothing more."""
    terms = supervisor._terms
    nowhere = {"view": str(den.root / "nowhere")}
    monkeypatch.setattr(supervisor, "_terms", lambda *given: terms(*given) | nowhere)
    said = tried(
        den,
        ERRORS
        + """
attempt_it("stat", lambda: os.stat(OUTSIDE / "secret").st_size)
attempt_it("read", lambda: os.open(OUTSIDE / "secret", os.O_RDONLY))
attempt_it("write", lambda: os.open(OUTSIDE / "new", os.O_WRONLY | os.O_CREAT))
attempt_it("list", lambda: os.listdir(OUTSIDE))
attempt_it("watch", lambda: os.listdir("/proc/self/net"))
attempt_it("mounts", lambda: os.open("/proc/self/mountinfo", os.O_RDONLY))
""",
    )
    refused = dict.fromkeys(("read", "write", "list", "watch", "mounts"), "EACCES")
    assert said == refused | {"stat": "came through: 5"}


def test_a_folder_that_nobody_may_list_ends_it_and_is_removed() -> None:
    """Whoever watches: root, who looks into any folder, is somebody else here."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o777)
        child = os.fork()
        if child == 0:
            held = False
            try:
                held = _held_by_nobody(Path(place) / "room")
            finally:
                os._exit(0 if held else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _held_by_nobody(room: Path) -> bool:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    (room / "a").mkdir(parents=True)
    (room / "a").chmod(0o300)
    said = disk.limit_reached(room, ROOMY)
    disk.empty(room)
    return said == "at the limit of files: it holds what nobody may look into" and not any(
        room.iterdir()
    )


def test_what_the_processes_of_a_pool_share_none_of_them_changes(den: Den) -> None:
    code = (
        ERRORS
        + """
import sys
code = Path(sys.argv[0])
Path("mine").touch()
attempt_it("write", lambda: (code / "formats/contract.py").write_text(""))
attempt_it("add", lambda: (code / "formats/more.py").write_text(""))
attempt_it("remove", lambda: (code / "formats/contract.py").unlink())
attempt_it("put in place", lambda: os.rename("mine", code / "formats/contract.py"))
attempt_it("name", lambda: (code / "formats").rename(code / "others"))
"""
    )
    with supervisor.pool() as pool:
        said = pool.submit(tried, den, code).result()
        shared = pool.submit(supervisor.code_of, den.root / "room").result()
        assert shared.is_dir() and not (den.root / "room/alone").exists()
    assert [name for name, end in said.items() if end not in ("EACCES", "EXDEV")] == []
    assert not shared.exists()

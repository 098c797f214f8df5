"""The filter, judged by the rules of seccomp on either machine, and asked for real on this one."""

import errno
import json
import platform

import pytest

from pipeline.sandbox import launcher
from pipeline.sandbox.launcher import calls
from testing.confined import Den

here = pytest.mark.skipif(bool(launcher.lacking()), reason=str(launcher.lacking()))
ME, LET, EVERY = 42, calls.ALLOW, range(700)


def judged(machine: str, number: int, *arguments: int, architecture: int | None = None) -> int:
    """What the filter returns, by the rules of a seccomp filter."""
    lines = calls.program_for(machine, ME)
    words = [number, architecture or calls.ARCHITECTURES[machine], 0, 0]
    for argument in (*arguments, *[0] * (6 - len(arguments))):
        words += [argument & 0xFFFFFFFF, argument >> 32]
    at, value = 0, 0
    while True:
        code, yes, no, k = lines[at]
        if code == calls.RETURN:
            return k
        if code == calls.LOAD:
            value, at = words[k // 4], at + 1
        elif code == calls.AND:
            value, at = value & k, at + 1
        else:
            truth = {calls.EQUAL: value == k, calls.AT_LEAST: value >= k}[code]
            at += 1 + (yes if truth else no)


def named(name: str, machine: str, *arguments: int) -> int:
    return judged(machine, calls.RECORDED["numbers"][name][calls.COLUMNS[machine]], *arguments)


def refused(code: int) -> int:
    return calls.ERRNO | code


@pytest.mark.parametrize("machine", calls.ARCHITECTURES)
def test_a_call_that_is_not_listed_is_answered_as_a_kernel_that_lacks_it_would(
    machine: str,
) -> None:
    """Every number there is, and those that a later kernel will give."""
    column = calls.COLUMNS[machine]
    listed = {calls.RECORDED["numbers"][name][column] for name in calls.allowed()} - {None}
    for number in (*EVERY, 1 << 20, 0xFFFFFFFF):
        younger = number >= calls.YOUNGER[machine]
        answer = refused(errno.ENOSYS if younger else errno.EPERM)
        assert number in listed or judged(machine, number) == answer, number
    assert len(listed) < 160


@pytest.mark.parametrize("machine", calls.ARCHITECTURES)
def test_calls_with_the_numbers_of_another_machine_end_the_process(machine: str) -> None:
    assert judged(machine, 0, architecture=0x40000003) == calls.KILL
    other = {"x86_64": "aarch64", "aarch64": "x86_64"}[machine]
    assert judged(machine, 0, architecture=calls.ARCHITECTURES[other]) == calls.KILL
    for number in EVERY:  # x86_64's twin with pointers of 32 bits
        assert judged(machine, 0x40000000 + number) == refused(errno.ENOSYS)


@pytest.mark.parametrize("machine", calls.ARCHITECTURES)
@pytest.mark.parametrize(
    ("name", "let", "not_let"),
    [
        ("clone", [(0x3D0F00,)], [(17,), (0x10000,), (0x3D0F00 | 0x10000000,), (0x3D0B00,)]),
        ("close_range", [(3, 9, 0)], [(3, 9, 2), (3, 9, 6)]),
        ("fcntl", [(3, 2), (3, 4), (3, 1030)], [(3, 8), (3, 10), (3, 15), (3, 1024), (3, 1026)]),
        ("fcntl", [(3, 6)], [(3, 1031), (3, 1033), (3, 1036), (3, 9)]),
        ("ioctl", [(0, 0x5401), (0, 0x5451)], [(0, 0x5412), (0, 0x541C), (0, 0x40086602)]),
        ("ioctl", [(0, 0x5421)], [(0, 0x401C5820), (0, 0x5452), (0, 0x8901), (0, 0x8902)]),
        ("kill", [(ME, 6)], [(ME + 1, 0), (0, 9), (0xFFFFFFFF, 9), (1, 0)]),
        ("tgkill", [(ME, 7, 6)], [(ME + 1, 7, 6), (0xFFFFFFFF, 7, 6)]),
        ("madvise", [(0, 9, 4), (0, 9, 8)], [(0, 9, 100), (0, 9, 101), (0, 9, 12), (0, 9, 9)]),
        ("mbind", [(0, 9, 2, 0, 0, 0)], [(0, 9, 2, 0, 0, 4), (0, 9, 2, 0, 0, 6)]),
        ("mmap", [(0, 9, 3, 0x22), (0, 9, 3, 1)], [(0, 9, 3, 0x21), (0, 9, 3, 0x40022)]),
        ("mmap", [(0, 9, 3, 0x4032)], [(0, 9, 3, 0x23), (0, 9, 3, 0x40001), (0, 9, 3, 0)]),
        ("prctl", [(15,), (0x53564D41,)], [(1,), (4,), (8,), (22,), (0x59616D61,), (62,), (36,)]),
        ("prlimit64", [(0, 7, 0), (ME, 7, 0)], [(0, 7, 1), (0, 7, 1 << 32), (ME + 1, 7, 0)]),
        ("sched_setaffinity", [(0,), (ME,)], [(1,), (ME + 1,)]),
        ("socketpair", [(1, 1), (1, 0x80801)], [(1, 2), (1, 5), (2, 1), (16, 3), (1, 0x80802)]),
    ],
)
def test_a_call_is_let_through_in_its_forms_alone(machine, name, let, not_let) -> None:
    for arguments in let:
        assert named(name, machine, *arguments) == LET, arguments
    code = getattr(errno, calls.REASONED["forms"][name]["else"])
    for arguments in not_let:
        assert named(name, machine, *arguments) == refused(code), arguments


def test_every_form_that_the_libraries_were_seen_to_use_is_let_through() -> None:
    checked = 0
    for record in calls.RECORDED["records"]:
        for name, forms in record["calls"].items():
            for form in forms:
                arguments = [0] * 6
                conditions = calls.REASONED["forms"][name]["only"]
                for condition, value in zip(conditions, form, strict=True):
                    arguments[condition["argument"]] |= value
                checked += 1
                if name not in REFUSED_AND_BORNE:
                    assert named(name, record["machine"], *arguments) == LET, (name, form)
    assert checked > 20


REFUSED_AND_BORNE = ()
"""Calls whose refusal the libraries were seen to bear."""


def test_what_is_never_let_through_is_in_no_other_list() -> None:
    beside = {name for names in calls.REASONED["beside"].values() for name in names}
    never = {name for names in calls.REASONED["never"].values() for name in names}
    assert never & (beside | calls.REASONED["forms"].keys() | calls.allowed()) == set()


NUMBERS = {
    "add_key": (248, 217),
    "bpf": (321, 280),
    "capset": (126, 91),
    "chroot": (161, 51),
    "clone3": (435, 435),
    "execveat": (322, 281),
    "fanotify_init": (300, 262),
    "file_getattr": (468, 468),
    "file_setattr": (469, 469),
    "finit_module": (313, 273),
    "fork": (57, 1079),
    "fsopen": (430, 430),
    "inotify_init1": (294, 26),
    "io_setup": (206, 0),
    "io_uring_setup": (425, 425),
    "ioperm": (173, 1000),
    "iopl": (172, 1001),
    "ioprio_set": (251, 30),
    "kcmp": (312, 272),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "landlock_restrict_self": (446, 446),
    "link": (86, 1025),
    "linkat": (265, 37),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "mlockall": (151, 230),
    "modify_ldt": (154, 1002),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "mq_open": (240, 180),
    "msgget": (68, 186),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "open_tree_attr": (467, 467),
    "perf_event_open": (298, 241),
    "personality": (135, 92),
    "pidfd_getfd": (438, 438),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "pivot_root": (155, 41),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "sched_setattr": (314, 274),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "seccomp": (317, 277),
    "semget": (64, 190),
    "sendmsg": (46, 211),
    "setns": (308, 268),
    "setpriority": (141, 140),
    "setsockopt": (54, 208),
    "setxattr": (188, 5),
    "shmget": (29, 194),
    "splice": (275, 76),
    "symlinkat": (266, 36),
    "tee": (276, 77),
    "timer_create": (222, 107),
    "tkill": (200, 130),
    "umask": (95, 166),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
    "utimensat": (280, 88),
    "vmsplice": (278, 75),
}
"""On x86_64 and aarch64; past the last, where it has none."""


@here
def test_the_kernel_refuses_what_only_an_attack_would_ask_for(den: Den) -> None:
    """Each with arguments of zero, so that nothing comes of one that it lets through."""
    column = calls.COLUMNS[platform.machine()]
    asked = {name: numbers[column] for name, numbers in NUMBERS.items()}
    found = den.run(f"""
        libc, answers = ctypes.CDLL(None, use_errno=True), {{}}
        for name, number in {asked!r}.items():
            done = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(0)] * 6)
            answers[name] = [done, ctypes.get_errno()]
        Path("answers.json").write_text(json.dumps(answers))
    """)
    assert found.error is None
    answers = json.loads((den.root / "room/empty/answers.json").read_text())
    young = calls.YOUNGER[platform.machine()]
    expected = {name: errno.ENOSYS if n >= young else errno.EPERM for name, n in asked.items()}
    assert {n: a for n, a in answers.items() if a != [-1, expected[n]]} == {}

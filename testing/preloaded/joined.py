"""What a child can yet become of what its parent is not: it leads a session where its client does,
and enters the client's name spaces of users and mounts."""

import ctypes
import os
from pathlib import Path

from pipeline.preloading.parent import Job

SPACES = {"user": 0x10000000, "mnt": 0x00020000}
"""And their flags in sched.h."""
OTHERS = ("net", "pid", "ipc", "uts")


def lasting(job: Job) -> list[str]:
    """Returns what no child can become of what the client is."""
    possible = {"session": _leads_another_session, "namespaces": _is_apart_in_mounts_alone}
    return [what for what in job["unlike"] if what not in possible or not possible[what](job)]


def join(job: Job) -> None:
    """Makes this process what `pipeline.preloading.parent.become` does not."""
    if "namespaces" in job["unlike"]:
        c = ctypes.CDLL(None, use_errno=True)
        if c.setns(os.pidfd_open(job["client"]), sum(SPACES.values())):
            raise OSError(ctypes.get_errno(), "cannot enter the client's name spaces")
    if "session" in job["unlike"]:
        os.setsid()
        job["group"] = os.getpgid(0)


def _leads_another_session(job: Job) -> bool:
    return bool(job["client"] == os.getsid(job["client"]))


def _is_apart_in_mounts_alone(job: Job) -> bool:
    """Nobody may enter a name space of users that is its own already."""
    same = {
        each: _space("self", each) == _space(job["client"], each) for each in (*SPACES, *OTHERS)
    }
    return all(same[each] for each in OTHERS) and not any(same[each] for each in SPACES)


def _space(process: int | str, name: str) -> str:
    return str(Path(f"/proc/{process}/ns/{name}").readlink())

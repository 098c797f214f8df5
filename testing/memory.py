"""What the system says of this process' memory, in bytes."""

from pathlib import Path


def resident() -> int:
    """Returns what it has now."""
    return _status("VmRSS")


def peak() -> int:
    """Returns the most that it has had since `count_peak`, or ever."""
    return _status("VmHWM")


def count_peak() -> None:
    """Has the most be counted from here."""
    Path("/proc/self/clear_refs").write_text("5")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))

"""The record of what the libraries ask for: made by the script, of the versions that are used."""

import importlib.metadata

import pytest

from pipeline.sandbox import launcher
from pipeline.sandbox.launcher import calls
from scripts.system_calls import __main__ as script
from testing.confined import Den


def test_the_versions_in_use_are_recorded() -> None:
    """`python -m scripts.system_calls` adds what newer ones ask for, and the difference is read."""
    recorded = [record["with"] for record in calls.RECORDED["records"]]
    in_use = {name: importlib.metadata.version(name).split("+")[0] for name in script.PACKAGES}
    seen = [{name: each[name].split("+")[0] for name in in_use} for each in recorded]
    assert in_use in seen, "run `python -m scripts.system_calls`"


@pytest.mark.skipif(bool(launcher.lacking()), reason=str(launcher.lacking()))
def test_a_record_has_each_call_with_its_form_and_also_what_is_refused(den: Den) -> None:
    code = "ctypes.CDLL(None).inotify_init1(0)"
    code += "; socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)"
    with script.recorded() as seen:
        found = den.run(code)
    assert found.error is None
    assert (1, 0x80002) in seen["socketpair"]
    assert {"inotify_init1", "openat", "read", "exit_group"} <= seen.keys()


def test_what_was_seen_is_added_to_the_record_of_the_same_versions_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = calls.RECORDED["records"]
    other = {**before[0], "libc": "musl-1.2", "calls": {"read": []}}
    monkeypatch.setattr(calls, "RECORDED", {**calls.RECORDED, "records": [other, *before]})
    written = []
    monkeypatch.setattr(script, "_write", written.append)
    monkeypatch.setattr(script.platform, "libc_ver", lambda: ("musl", "1.2"))
    monkeypatch.setattr(script.importlib.metadata, "version", other["with"].get)
    monkeypatch.setattr(script.platform, "python_version", lambda: other["with"]["python"])
    script._merge({"fcntl": {(2,), (1030,)}, "execve": set()})
    records = written[0]["records"]
    assert records[:-1] == before
    assert records[-1] == {**other, "calls": {"fcntl": [[2], [1030]], "read": []}}

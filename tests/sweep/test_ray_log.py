"""What Ray's threads print goes to a file that one line names; all else is printed as ever."""

import sys
import threading
from pathlib import Path

import pytest

from pipeline.sweep.engines._ray_log import NAME, rays_apart


def print_in(name: str) -> None:
    thread = threading.Thread(target=lambda: print(f"of {name}"), name=name)
    thread.start()
    thread.join()


def test_what_a_thread_of_rays_prints_is_apart_and_named_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with rays_apart(tmp_path):
        print("of the sweep")
        print_in("another")
        assert not (tmp_path / NAME).exists()
        for _ in range(2):
            print_in("ray_listen_error_messages")
        print("an error", file=sys.stderr)
    print_in("ray_listen_error_messages")  # as before
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        "of the sweep",
        "of another",
        f"  Ray says something of its nodes; log: {tmp_path / NAME}",
        "of ray_listen_error_messages",
    ]
    assert said.err == "an error\n"
    assert (tmp_path / NAME).read_text() == "of ray_listen_error_messages\n" * 2

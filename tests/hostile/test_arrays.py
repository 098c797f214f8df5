"""Attempts on `examples/*.npz`: nothing is unpickled, and nothing unpacked beyond the file."""

import contextlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.untrusted.arrays import ForeignArrays, read
from tests.hostile.conftest import Touch, edited


def written(path: Path) -> Path:
    np.savez(
        path, a=np.arange(6.0).reshape(2, 3), text=np.array(["å", "bc"]), none=np.zeros((0, 2))
    )
    return path


def with_header(text: str) -> Callable[[Path, Path], None]:
    def attack(path: Path, _: Path) -> None:
        head = text.encode().ljust(117) + b"\n"
        content = b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + bytes(48)
        edited(path, lambda members: members.update({"a.npy": content}))

    return attack


def shaped(shape: str, dtype: str = "<f8") -> Callable[[Path, Path], None]:
    return with_header(f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}}}")


def objects(path: Path, mark: Path) -> None:
    np.savez(path, a=np.array([Touch(mark)], dtype=object))


def bomb(path: Path, _: Path) -> None:
    np.savez_compressed(path, a=np.zeros(1 << 24))


def bare(path: Path, mark: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.array([Touch(mark)], dtype=object), allow_pickle=True)
    path.write_bytes(buffer.getvalue())


def other(path: Path, _: Path) -> None:
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("code.py", "x")


ATTACKS: dict[str, Callable[[Path, Path], None]] = {
    "pickled objects": objects,
    "a pickle alone": bare,
    "a bomb": bomb,
    "a huge shape": shaped("(1099511627776,)"),
    "a shape that overflows": shaped("(4294967296, 4294967296, 4294967296)"),
    "a negative shape": shaped("(-1,)"),
    "a huge element": shaped("(1,)", "|V1000000000"),
    "code for a header": with_header("__import__('os').getcwd()"),
    "a nest for a header": with_header("(" * 110),
    "another member": other,
    "nothing": lambda path, _: path.write_bytes(b"") and None,
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_it_is_refused_before_it_acts(attack: str, tmp_path: Path, mark: Path) -> None:
    path = written(tmp_path / "one.npz")
    ATTACKS[attack](path, mark)
    with pytest.raises(ForeignArrays, match=r"one\.npz") as raised:
        read(path)
    assert "\n" not in str(raised.value)
    assert not mark.exists()


def test_numpy_told_to_would_have_run_the_pickle(tmp_path: Path, mark: Path) -> None:
    objects(tmp_path / "one.npz", mark)
    np.load(tmp_path / "one.npz", allow_pickle=True)["a"]
    assert mark.exists()


def test_what_the_pipeline_writes_is_read_as_it_was(tmp_path: Path) -> None:
    path = written(tmp_path / "one.npz")
    with np.load(path) as expected:
        found = read(path)
        assert list(found) == expected.files
        for name in expected.files:
            assert np.array_equal(found[name], expected[name])


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_one_changed_bit_is_let_in_or_refused(place: float, bit: int, tmp_path: Path) -> None:
    whole = bytearray(written(tmp_path / "whole.npz").read_bytes())
    whole[int(place * len(whole))] ^= 1 << bit
    (tmp_path / "one.npz").write_bytes(whole)
    with contextlib.suppress(ForeignArrays):
        read(tmp_path / "one.npz")

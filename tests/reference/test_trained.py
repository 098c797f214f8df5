"""What steps led to is recorded by value up to a bound, and by digest beyond it."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.reference import trained
from pipeline.sandbox.worker.report import digest_of

STATE = {
    "net/large": np.arange(64, dtype=np.float32).reshape(8, 8),
    "net/small": np.float32([1, 2]),
    "optimizer/large/exp_avg": np.ones((8, 8), np.float32),
    "optimizer/large/step": np.array(3.0, np.float32),
}
ANSWERS = {"logits": np.ones((7, 2), np.float32)}


def written(path: Path) -> dict[str, np.ndarray]:
    trained.write(path, ANSWERS, STATE.items)
    with np.load(path) as arrays:
        return dict(arrays)


def test_a_state_within_the_bound_is_there_by_value(tmp_path: Path) -> None:
    found = written(tmp_path / "trained.npz")
    assert list(found) == ["answers/logits", *(f"state/{name}" for name in STATE)]
    assert all(np.array_equal(found[f"state/{name}"], each) for name, each in STATE.items())


def test_what_is_beyond_the_bound_is_there_by_the_digest_of_dtype_shape_and_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trained, "VALUES", 300)
    found = written(tmp_path / "trained.npz")
    large = {"net/large": "state", "net/small": "state", "optimizer/large/step": "state"}
    kinds = large | {"optimizer/large/exp_avg": "digest"}
    assert list(found) == ["answers/logits", *(f"{kinds[name]}/{name}" for name in STATE)]
    array = STATE["optimizer/large/exp_avg"]
    assert str(found["digest/optimizer/large/exp_avg"]) == digest_of(array)
    assert digest_of(array) != digest_of(array.reshape(64))
    assert digest_of(array) != digest_of(array.view(np.int32))


def test_the_file_does_not_grow_with_the_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trained, "VALUES", 1000)
    sizes = []
    for rows in (100, 10_000):
        state = {f"net/{name}": np.ones((rows, 8), np.float32) for name in "ab"}
        trained.write(tmp_path / "trained.npz", ANSWERS, state.items)
        sizes.append((tmp_path / "trained.npz").stat().st_size)
    assert sizes[0] == sizes[1] < 2000


@pytest.mark.parametrize(
    ("most", "names"), [(0, ""), (1, "a"), (6, "ab"), (7, "abd"), (13, "abd"), (14, "abcd")]
)
def test_the_smallest_come_first(most: int, names: str) -> None:
    assert trained.smallest({"d": 5, "b": 1, "c": 7, "a": 1}, most) == set(names)

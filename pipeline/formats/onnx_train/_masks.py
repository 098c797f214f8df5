"""Dropout's masks are an input of step.onnx, drawn as PyTorch draws them on a CPU.

state.json says of each, in the order in which a step draws them, how likely a value is to stay and
how many values there are: a sum of products of sizes of what the step is given. Two words of a
Mersenne Twister (MT19937), seeded as the source would have been, make a value: 53 of their bits, as
a fraction, are below `keep` or not.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..contract import Arrays

Mask = dict[str, Any]
MASKS = "masks"
"""The input, all masks one after the other."""
WORDS = 624
LARGEST_WORD, LARGEST_FACTOR = (1 << 32) - 1, 1 << 40
BITS = 53


def seeded(seed: int) -> dict[str, Any]:
    """Returns the generator as state.json has it."""
    return _described(np.random.RandomState(seed & LARGEST_WORD))


def _described(generator: Any) -> dict[str, Any]:
    _, words, at, *_ = generator.get_state()
    return {"words": words.tolist(), "at": int(at)}


class Generator:
    """The generator where a training stands."""

    def __init__(self, described: Mapping[str, Any]):
        self._generator = np.random.RandomState()
        words = np.asarray(described["words"], np.uint32)
        self._generator.set_state(("MT19937", words, described["at"], 0, 0.0))

    def described(self) -> dict[str, Any]:
        return _described(self._generator)

    def all(self, masks: list[Mask], given: Arrays) -> np.ndarray:
        """Returns the masks of the next step, on these inputs and targets."""
        drawn = [self.mask(each["keep"], count(each, given)) for each in masks]
        return np.concatenate(drawn)

    def mask(self, keep: float, size: int) -> np.ndarray:
        words = self._generator.randint(0, 1 << 32, (size, 2), np.uint32).astype(np.uint64)
        bits = ((words[:, 0] << np.uint64(32)) | words[:, 1]) & np.uint64((1 << BITS) - 1)
        return np.asarray(bits.astype(np.float64) / (1 << BITS) < keep)


def count(mask: Mask, given: Mapping[str, Any]) -> int:
    """Returns how many values the mask of a step on `given` has."""
    return sum(
        term["times"] * math.prod(given[name].shape[axis] for name, axis in term["sizes"])
        for term in mask["count"]
    )


def check(described: Mapping[str, Any]) -> None:
    """Raises ValueError unless masks and generator are numbers and names."""
    masks, names = described.get(MASKS, []), {*described["inputs"], *described["targets"]}
    for mask in masks:
        terms = mask["count"]
        right = type(mask["keep"]) is float and 0 <= mask["keep"] <= 1
        right = right and {type(each["times"]) for each in terms} == {int}
        right = right and max(abs(each["times"]) for each in terms) < LARGEST_FACTOR
        sizes = [size for each in terms for size in each["sizes"]]
        if not right or not all(name in names and type(axis) is int for name, axis in sizes):
            raise ValueError("a mask that is none; do not load it")
    if masks:
        _check_generator(**described["generator"])


def _check_generator(words: list[Any], at: Any) -> None:
    right = len(words) == WORDS and {type(each) for each in [*words, at]} == {int}
    if not right or not 0 <= min(words) <= max(words) <= LARGEST_WORD or not 0 <= at <= WORDS:
        raise ValueError("a generator that is none; do not load it")

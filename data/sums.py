"""Invented sums of two numbers, written out: a language small enough to be learnt in a minute."""

from collections.abc import Iterator
from typing import Any

import numpy as np

SIGNS = " 0123456789+=;"
"""A sign's place is its token; the first one fills up."""
LENGTH = 12


def tokens(text: str, length: int = LENGTH) -> np.ndarray:
    """Returns a text as tokens, filled up to `length`."""
    return np.array([SIGNS.index(sign) for sign in text.ljust(length)], np.int64)


def rows(count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yields `text` (12,), a sum such as 7+58=65; as tokens, and `next` (12,), what follows each of
    them; `question` (6,), the sum up to and with =, `before` (4,) and `answer` (4,), what follows
    it, as a decoder has it before and after each token."""
    generator = np.random.default_rng(seed)
    for _ in range(count):
        one, other = generator.integers(0, 50, 2)
        question, answer = f"{one}+{other}=", f"{one + other};"
        text = tokens(question + answer)
        yield {
            "text": text,
            "next": np.append(text[1:], 0),
            "question": tokens(question, 6),
            "before": tokens("=" + answer[:-1], 4),
            "answer": tokens(answer, 4),
        }

"""The ids that a tokenizer makes of texts are those that the model was trained with."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.sandbox.reports import Batches

SHOWN = 60
"""Characters of a text, and of its ids, in a message."""


def other_ids(texts: Mapping[str, Any], made: Batches) -> Iterator[str]:
    """Yields a line for each text of which other ids were made than it has with its input."""
    for name, each in texts.items():
        ids = made.get(name, {})
        for number, (text, expected) in enumerate(zip(each["texts"], each["ids"], strict=True)):
            answered = ids[str(number)].tolist() if str(number) in ids else "nothing"
            if answered != expected:
                yield (
                    f"{each['file']}: found {str(answered)[:SHOWN]} for {text[:SHOWN]!r}, expected "
                    f"{str(expected)[:SHOWN]}"
                )

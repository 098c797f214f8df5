"""How a column of texts becomes ids: `data.inputs.<name>.tokenizer` of params.yaml."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pipeline.config.bounds import Range
from pipeline.errors import ParamsError


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """What a tokenizer learns from the texts of the training rows."""

    model: Literal["bpe", "wordpiece"]
    size: Annotated[int, Range(least=64)]
    """Ids at most; the letters that occur have one each in any case."""


@dataclass(frozen=True, kw_only=True)
class Tokenizer:
    """Turns a text into ids; one of the two."""

    file: str | None = None
    """A tokenizer.json below data/."""
    train: Vocabulary | None = None
    truncate: bool = False
    """Whether a text with more ids than the bounds of the dimension is cut off; if not, it ends
    `prepare`."""

    def __post_init__(self) -> None:
        if (self.file is None) == (self.train is None):
            raise ParamsError(
                "data.inputs: tokenizer: expected file, which names a tokenizer.json, or train, "
                "which says what is learnt from the training rows"
            )

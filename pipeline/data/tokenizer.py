"""A tokenizer turns a text into ids: given as a tokenizer.json, or trained on the training rows.

The same rows train the same bytes. `tokenizers` itself numbers the letters of WordPiece in the
order of a hash table, which differs from process to process, so it is told them in order.
"""

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.config.text_params import Vocabulary
from pipeline.data.lists import Lists
from pipeline.data.ragged import Array
from pipeline.errors import DataError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PAD, UNKNOWN = "[PAD]", "[UNK]"
"""Have the ids 0 and 1 in what is trained here."""
PREFIX = "##"
"""Begins a piece of WordPiece's that does not begin a word."""

Texts = Callable[[], Iterable[str]]
"""Reads the texts of the training rows, from the first on."""


def read(path: Path) -> "Tokenizer":
    """Returns the tokenizer in a file. Raises DataError, one line, for a file that is none."""
    try:
        content = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as fault:
        raise _no_tokenizer(path, fault) from None
    return _from_text(content, path)


def _from_text(content: str, path: Path) -> "Tokenizer":
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_str(content)
    except Exception as fault:  # the library raises nothing more particular
        if type(fault) is not Exception:
            raise
        raise _no_tokenizer(path, fault) from None


def _no_tokenizer(path: Path, fault: Exception) -> DataError:
    reason = " ".join(str(fault).split())[:200]
    return DataError(
        f"{path}: no tokenizer: {reason}; expected a tokenizer.json of the library tokenizers"
    )


def trained(texts: Texts, vocabulary: Vocabulary) -> "Tokenizer":
    """Returns a tokenizer of at most so many ids, learnt from these texts."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # threads would be seen in what is learnt
    if vocabulary.model == "bpe":
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
    else:
        tokenizer = Tokenizer(models.WordPiece(unk_token=UNKNOWN))
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = decoders.WordPiece()
    tokenizer.train_from_iterator(iter(texts()), _trainer(tokenizer, texts, vocabulary))
    content = json.loads(tokenizer.to_str())
    content["added_tokens"] = [e for e in content["added_tokens"] if e["content"] in (PAD, UNKNOWN)]
    return Tokenizer.from_str(json.dumps(content))


def _trainer(tokenizer: "Tokenizer", texts: Texts, vocabulary: Vocabulary) -> Any:
    from tokenizers import pre_tokenizers, trainers

    if vocabulary.model == "bpe":
        return trainers.BpeTrainer(
            vocab_size=vocabulary.size,
            special_tokens=[PAD, UNKNOWN],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
    words = (word for text in texts() for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text))
    letters = sorted({letter for word in words for letter in word[1:]})
    return trainers.WordPieceTrainer(
        vocab_size=vocabulary.size,
        special_tokens=[PAD, UNKNOWN, *(PREFIX + letter for letter in letters)],
        show_progress=False,
    )


def pad_of(tokenizer: "Tokenizer") -> int:
    """Returns the id that the tokenizer itself pads with, or that of its token [PAD] or the like; 0
    where it has none."""
    if tokenizer.padding is not None:
        return int(tokenizer.padding["pad_id"])
    ids = (tokenizer.token_to_id(token) for token in (PAD, "<pad>", "<|endoftext|>"))
    return next((each for each in ids if each is not None), 0)


def whole(tokenizer: "Tokenizer") -> "Tokenizer":
    """Returns the tokenizer without padding and truncation of its own: rows stay as they are."""
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def encoded(tokenizer: "Tokenizer", texts: Array, most: int | None) -> Lists:
    """Returns the ids of each text, at most so many."""
    ids = [tokenizer.encode(text).ids[:most] for text in texts]
    flat = np.array([each for row in ids for each in row], np.int64)
    return Lists(flat, np.array([len(row) for row in ids], np.int64))

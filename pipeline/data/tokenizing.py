"""Columns of text become rows of ids, once the rows are split: a tokenizer may learn from those
that train alone."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.config.data_params import Data, Input
from pipeline.data import columns, tokenizer
from pipeline.data.array_spec import ArraySpec
from pipeline.data.lists import Lists
from pipeline.data.ragged import Array
from pipeline.data.tables import Table

SHOWN = 16
"""Texts of the test split that are written down, for what is made of the tokenizer to be held to
the ids that `prepare` has of them."""
TEXTS = "texts.json"


class Tokenizers:
    """Tokenizers are those of a data set's inputs, by name: read, or learnt from its rows."""

    def __init__(self, folder: Path, data: Data, table: Table, training: Array) -> None:
        self._data, self._table = data, table
        self._inputs = {n: each for n, each in data.inputs.items() if each.tokenizer is not None}
        self.made = {n: self._made(folder, each, training) for n, each in self._inputs.items()}

    def _made(self, folder: Path, entry: Input, training: Array) -> Any:
        assert entry.tokenizer is not None
        vocabulary = entry.tokenizer.train
        if vocabulary is None:
            return tokenizer.read(folder / str(entry.tokenizer.file))
        return tokenizer.trained(lambda: self._texts(entry, training), vocabulary)

    def _texts(self, entry: Input, rows: Array) -> Iterator[str]:
        """Yields the texts of the rows that a mask is true for."""
        (column,), row = columns.names(entry.source), 0
        optional = frozenset([column] if entry.missing is not None else [])
        for batch in self._table.batches_with_gaps({column: "text"}, optional):
            texts = batch[column]
            yield from texts[rows[row : row + len(texts)]]
            row += len(texts)

    def specs(self, arrays: Mapping[str, ArraySpec]) -> dict[str, ArraySpec]:
        """Returns the arrays with those of ids in the place of texts."""
        return {**arrays} | {
            f"inputs/{name}": replace(
                arrays[f"inputs/{name}"],
                dtype="int64",
                row=entry.shape,
                encode=self._encoder(name, entry),
            )
            for name, entry in self._inputs.items()
        }

    def _encoder(self, name: str, entry: Input) -> Any:
        whole = tokenizer.whole(self.made[name])
        cut = entry.tokenizer is not None and entry.tokenizer.truncate
        most = self._data.dimensions[entry.dimensions[0]].most if cut else None

        def encode(texts: Array) -> Lists:
            return tokenizer.encoded(whole, texts, most)

        return encode

    def pad(self, name: str) -> float:
        """Returns what fills a row of an input up."""
        pad = self._data.inputs[name].pad
        if pad is None and name in self.made:
            return tokenizer.pad_of(self.made[name])
        return 0 if pad is None else pad

    def write(self, output: Path, test: Array) -> None:
        """Writes each tokenizer, and the first texts of the rows of the test split."""
        if not self.made:
            return
        texts: dict[str, list[str]] = {}
        for name, entry in self._inputs.items():
            (output / self.file(name)).write_text(self.made[name].to_str(pretty=True))
            of_test = self._texts(entry, test)
            texts[name] = [text for text, _ in zip(of_test, range(SHOWN), strict=False)]
        (output / TEXTS).write_text(json.dumps(texts, ensure_ascii=False, indent=1) + "\n")

    def file(self, name: str) -> str:
        """Returns the file that the tokenizer of an input is in."""
        return "tokenizer.json" if len(self._inputs) == 1 else f"tokenizer.{name}.json"

    def described(self, name: str) -> dict[str, Any]:
        """Returns what schema.json says of it; nothing of an input without one."""
        if name not in self.made:
            return {}
        content = self.made[name].to_str(pretty=True).encode()
        digest = hashlib.sha256(content).hexdigest()
        return {"tokenizer": {"file": self.file(name), "sha256": digest}}

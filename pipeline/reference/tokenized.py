"""The texts that verify and the card show of a tokenizer, with the ids that `prepare` made of them.

A tokenizer is no part of the model: it makes what the model takes. So it travels beside it.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.data import arrays as prepared
from pipeline.data import ragged
from pipeline.files import write_atomically

FILE = "tokenized.json"


def record(data: Path, output: Path, schema: Mapping[str, Any]) -> None:
    """Writes the tokenizers of the inputs into `output`, and texts of the test split with their ids
    into its reference; nothing where no input has one."""
    described = {
        n: each["tokenizer"] for n, each in schema["inputs"].items() if "tokenizer" in each
    }
    if not described:
        return
    inputs, _ = prepared.split(data, "test")
    texts = json.loads((data / "texts.json").read_text())
    content = {}
    for name, tokenizer in described.items():
        shutil.copyfile(data / tokenizer["file"], output / tokenizer["file"])
        most = schema["dimensions"][schema["inputs"][name]["shape"][0]]["most"]
        ids = [_ids(inputs[name], row) for row in range(len(texts[name]))]
        content[name] = {"file": tokenizer["file"], "most": most, "texts": texts[name], "ids": ids}
    written = json.dumps(content, ensure_ascii=False, indent=1)
    write_atomically(output / "reference" / FILE, written + "\n")


def _ids(array: Any, row: int) -> list[int]:
    assert isinstance(array, ragged.Ragged)
    ids: list[int] = array[row : row + 1][0].tolist()
    return ids

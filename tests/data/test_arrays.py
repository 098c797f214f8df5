"""What `prepare` and `checkpoint` wrote before targets had names is read as if its only one had."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config import earlier
from pipeline.data import arrays

LABEL = {"dtype": "int64", "classes": 2}


def test_the_only_target_of_older_data_is_called_target(tmp_path: Path) -> None:
    inputs = {"x": {"dtype": "float32", "shape": []}}
    (tmp_path / "schema.json").write_text(json.dumps({"inputs": inputs, "target": LABEL}))
    (tmp_path / "val/inputs").mkdir(parents=True)
    np.save(tmp_path / "val/inputs/x.npy", np.zeros(3, np.float32))
    np.save(tmp_path / "val/target.npy", np.arange(3) % 2)
    found, targets = arrays.split(tmp_path, "val")
    assert arrays.count(found) == 3
    assert targets["target"].tolist() == [0, 1, 0]
    described = arrays.schema(tmp_path)
    assert described["targets"] == {"target": {**LABEL, "shape": [], "labels": None}}
    assert "target" not in described and "predictions" not in described


@pytest.mark.parametrize(
    ("classes", "more", "kind"),
    [(2, {}, "argmax"), (2, {"threshold": 0.5}, "threshold"), (None, {}, "value")],
)
def test_the_first_output_of_an_older_checkpoint_answered_it(
    classes: int | None, more: dict[str, Any], kind: str
) -> None:
    schema = {"outputs": {"one": {}, "two": {}}, "target": {**LABEL, "classes": classes}, **more}
    found = earlier.schema(schema)["predictions"]
    assert (found["output"], found["target"], found["kind"]) == ("one", "target", kind)
    assert (found["classes"], found["threshold"]) == (classes, more.get("threshold"))

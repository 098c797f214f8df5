"""A model that was merged with its adapters answers as the two do apart, but for rounding."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data import arrays as prepared
from pipeline.errors import ModelError
from pipeline.frameworks.contract import Framework

ROWS = 64
"""That the two are compared in."""
TOLERANCE, OF_NARROW = 1e-4, 0.1
"""Of the largest answer: so far may the rounding of merged weights go, and that of weights in 16
bits."""


def demand_merged(framework: Framework[Any], training: Any, data: Path) -> None:
    """Raises ModelError, one line, where they differ by more than rounding."""
    inputs, _ = prepared.split(data, "val")
    batch = prepared.rows_of(inputs, slice(min(ROWS, prepared.count(inputs))))
    merged, _ = framework.evaluate(training, batch, None)
    dtypes = {spec.dtype for spec in framework.weight_specs(training, "own").values()}
    allowed = OF_NARROW if dtypes & {"bfloat16", "float16"} else TOLERANCE
    largest = 0.0
    for name, apart in framework.unmerged(training, batch).items():
        if apart.dtype.kind not in "fc":
            continue
        size = float(np.abs(apart).max(initial=0.0)) or 1.0
        difference = float(np.abs(merged[name] - apart).max(initial=0.0)) / size
        largest = max(largest, difference)
        if not difference <= allowed:
            raise ModelError(
                f"model.net: {name} differs by {difference:.2g} of its largest value between the "
                "net that was merged with its adapters and the one that has them apart; expected "
                f"{allowed:g} at most: a weight of train.adapter.targets is used elsewhere than in "
                "its layer; leave that layer out"
            )
    print(f"merged with its adapters; answers differ by {largest:.1g} of the largest", flush=True)

"""Settings of a training, for tests that train without params.yaml."""

from typing import Any

from pipeline.config.distributed_params import Distributed
from pipeline.config.earlier import DISTRIBUTED
from pipeline.config.params import Train


def settings_of(**changed: Any) -> Train:
    """Returns one epoch's settings, but for what is changed."""
    values: dict[str, Any] = {
        "epochs": 1,
        "batch_size": 32,
        "lr": 0.1,
        "seed": 0,
        "device": "cpu",
        "threads": 1,
    }
    values |= {"clip_norm": None, "parent": None, "early_stopping": None, "metrics": {}}
    values |= {
        "keep": None,
        "start": None,
        "start_with": "weights",
        "new_weights": (),
        "accumulate": 1,
        "schedule_by": "epoch",
        "freeze": (),
        "averaging": None,
        "adapter": None,
        "precision": "float32",
        "distributed": Distributed(**DISTRIBUTED),
        "class_weights": None,
    }
    values |= {"command": None, "code": (), "arguments": {}, "checkpoint": None, "history": None}
    return Train(**{**values, **changed})

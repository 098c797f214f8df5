"""What MLflow's UI shows of an experiment before anybody has set it up: tags of the experiment."""

import json

NOTE = (
    "`train/` and `val/` are curves, of which tables show the last epoch; `test/` and `verify/` "
    "are of the complete model, from the epoch `test/epoch`. To begin with: Views > compare."
)

KIND = "workflowType=machine_learning"
"""Of an address: without it MLflow 3.17 opens its GenAI pages, whatever the experiment says."""

VIEW = "compare"
"""Name of a view, and its key in an address."""

COLUMNS = [
    *(f"params.`{name}`" for name in ("model.name", "train.lr", "train.batch_size", "train.seed")),
    *(f"metrics.`{name}`" for name in ("val/accuracy", "test/accuracy", "test/loss")),
    *(f"metrics.`verify/{name}`" for name in ("max_abs_diff", "size_mb")),
]


def tags() -> dict[str, str]:
    return {"mlflow.note.content": NOTE, f"mlflow.sharedViewState.{VIEW}": _view()}


def _view() -> str:
    """As the UI of MLflow 3.17 writes it; none of it is documented."""
    state = {"orderByKey": "attributes.start_time", "orderByAsc": False, "selectedColumns": COLUMNS}
    return json.dumps({"name": VIEW, "createdAt": 0, "updatedAt": 0, "state": json.dumps(state)})


def address(page: str, experiment: str) -> str:
    """Of the runs with these columns."""
    return f"{page}/#/experiments/{experiment}/runs?{KIND}&viewStateShareKey={VIEW}"

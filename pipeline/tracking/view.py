"""What MLflow's UI shows of an experiment before anybody has set it up: tags of the experiment.

A view is of the runs of one data set, for these have a metric in common. It is a tag that the UI
reads, as 3.17 writes it; none of it is documented.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

NOTE = (
    "`train/` and `val/` are curves, of which tables show the last epoch; `test/` and `verify/` "
    "are of the complete model. To begin with: Views, one a data set."
)
"""As long as the line that the UI shows of it."""

KIND = "workflowType=machine_learning"
"""Of an address: without it MLflow 3.17 opens its GenAI pages, whatever the experiment says."""

PREFIX = "mlflow.sharedViewState."
LONGEST = 20_000
"""MLflow's limit of an experiment's tag."""
METRICS = 12
"""Of the test split, in a view."""

NAME, DATE = "attributes.`Run Name`", "runDateAndNestInfo"
WIDTHS = {NAME: 260, DATE: 150, "params.`model.name`": 150}
PARAMS = ("model.name", "train.lr", "train.batch_size", "train.epochs", "train.seed")
AXES = ("train.lr", "model.name", "train.batch_size")
"""The params that the chart has an axis for; names on the first one would be cut."""
MEASURED = ("verify/max_abs_diff", "verify/size_mb")
SECTION = "compare"
"""Of charts; the UI sorts sections by name, so this one comes before test/, train/ and val/."""


@dataclass(frozen=True, kw_only=True)
class View:
    """A view is named after the data set, and shows what its runs were judged by."""

    data: str
    chosen_by: str
    """The metric that chose the epoch."""
    judged: tuple[str, ...]
    """Metrics of the test split, the one first that the epoch was chosen by."""

    @property
    def name(self) -> str:
        return f"compare {self.data}"

    @property
    def key(self) -> str:
        """Returns its name in an address, and behind PREFIX that of its tag."""
        return re.sub(r"[^\w.:/ -]", "_", self.name)

    @property
    def tag(self) -> str:
        return PREFIX + self.key

    def value(self, present: str | None = None) -> str:
        """Returns the tag's value; of runs that were judged otherwise before, it keeps the columns.
        What somebody has set up in the UI stays as it is."""
        if present is None:
            return self._value(())
        try:
            view = json.loads(present)
            columns = json.loads(view["state"])["selectedColumns"]
        except (ValueError, KeyError, TypeError):
            return present
        return present if view.get("updatedAt") != 0 else self._value(columns)

    def _value(self, before: Sequence[str]) -> str:
        mark = '"' if "'" in self.data else "'"
        columns = list(dict.fromkeys([*_columns(self), *before]))
        state = {
            "orderByKey": "attributes.start_time",
            "orderByAsc": False,
            "searchFilter": f"params.`data.name` = {mark}{self.data}{mark}",
            "selectedColumns": columns,
            "columnOrder": [NAME, DATE, *columns],
            "columnWidths": WIDTHS,
        }
        view = {"name": self.name, "createdAt": 0, "updatedAt": 0}
        value = json.dumps(view | {"state": json.dumps(state | _charts(self))})
        return value if len(value) <= LONGEST or not before else self._value(())

    def address(self, page: str, experiment: str) -> str:
        """Returns the address of the runs in this view."""
        shared = f"viewStateShareKey={quote(self.key, safe='')}"
        return f"{page}/#/experiments/{experiment}/runs?{KIND}&{shared}"


def view_of(params: Mapping[str, str], metrics: Mapping[str, float]) -> View:
    """Returns the view that the run with these params and final metrics belongs into."""
    chosen_by = params.get("checkpoint.metric", "val/loss")
    first = "test/" + chosen_by.rpartition("/")[2]
    judged = sorted((m for m in metrics if m.startswith("test/")), key=lambda m: m != first)
    data = params.get("data.name", "data")
    return View(data=data, chosen_by=chosen_by, judged=tuple(judged[:METRICS]))


def _columns(view: View) -> list[str]:
    metrics = [*view.judged, view.chosen_by, *MEASURED]
    return [*(f"params.`{each}`" for each in PARAMS), *(f"metrics.`{each}`" for each in metrics)]


def _charts(view: View) -> dict[str, Any]:
    """Returns what was varied against the metric of the test split: the UI adds the others."""
    judged = view.judged[0] if view.judged else view.chosen_by
    card = {"metricSectionId": SECTION, "deleted": False, "isGenerated": False}
    parallel = card | {"type": "PARALLEL", "uuid": "varied", "runsCountToCompare": 100}
    parallel |= {"selectedParams": list(AXES), "selectedMetrics": [judged], "showAllRuns": True}
    rate = card | {"type": "SCATTER", "uuid": "rate", "runsCountToCompare": 100}
    rate |= {"xaxis": {"key": "train.lr", "type": "PARAM"}}
    rate |= {"yaxis": {"key": judged, "type": "METRIC"}}
    section = {"uuid": SECTION, "name": SECTION, "display": True, "isReordered": False}
    return {"compareRunCharts": [parallel, rate], "compareRunSections": [section]}

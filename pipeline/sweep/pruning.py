"""Optuna is told of each epoch of a trial, and says which trial it wants no more of."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from pipeline.sweep import plan
from pipeline.training.history import Row

if TYPE_CHECKING:
    import optuna


class Pruning:
    """The watch over the trials of one batch, by their overrides; `metric` is a column of
    history.csv, of whose epochs the study's pruner judges."""

    def __init__(
        self,
        study: "optuna.Study",
        trials: Mapping[tuple[str, ...], "optuna.trial.FrozenTrial"],
        metric: str,
    ):
        from optuna.trial import Trial

        self.study, self.metric = study, metric
        self.numbers = {key: frozen.number for key, frozen in trials.items()}
        self.trials = {key: Trial(study, frozen._trial_id) for key, frozen in trials.items()}
        self.reported = {key: set(frozen.intermediate_values) for key, frozen in trials.items()}
        self._lock = threading.Lock()

    def trial(self, overrides: Sequence[str]) -> str:
        return f"{plan.digest_of(self.study.study_name)}-{self.numbers[tuple(overrides)]}"

    def pruned_after(self, overrides: Sequence[str], rows: Sequence[Row]) -> int | None:
        """Judges at each epoch, so that what becomes of a trial does not hang on when somebody
        looked."""
        with self._lock:
            for epoch in self._report(tuple(overrides), rows):
                if self.trials[tuple(overrides)].should_prune():
                    return epoch
        return None

    def finished(self, overrides: Sequence[str], rows: Sequence[Row]) -> None:
        with self._lock:
            list(self._report(tuple(overrides), rows))

    def _report(self, key: tuple[str, ...], rows: Sequence[Row]) -> Iterator[int]:
        """Yields each epoch that the study did not have, once it has it."""
        for row in rows:
            epoch = int(row["epoch"])
            if self.metric in row and epoch not in self.reported[key]:
                self.trials[key].report(row[self.metric], epoch)
                self.reported[key].add(epoch)
                yield epoch

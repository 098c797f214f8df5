"""A study of Optuna's is a sweep whose next jobs hang on what those before came to.

It lies in a file or a database, so that one that was ended goes on: a trial that was not finished
stays open, is run again at the next start, and is the same job.
"""

import importlib.util
import math
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override

from pipeline.config.merge import composed
from pipeline.errors import CannotRun, ParamsError, PipelineError
from pipeline.project import CONF, ROOT
from pipeline.sweep import plan
from pipeline.sweep.session import apart_from_hydra
from pipeline.text import escaped_error

if TYPE_CHECKING:
    import optuna

Launch = Callable[[Sequence[Sequence[str]]], list[float]]
"""From the overrides of some jobs to their objectives, NaN of a failed one."""
DIRECTIONS = {"max": "MAXIMIZE", "min": "MINIMIZE"}


def run(
    arguments: Sequence[str],
    launch: Launch,
    *,
    trials: int,
    at_once: int,
    storage: str | None,
    study: str | None,
    sampler: str,
    seed: int,
) -> float:
    """Runs trials until so many are finished, or as many were tried; returns the best objective.

    `at_once` of them are asked for and launched together.
    """
    try:
        _demand_optuna()
        searched, fixed = _parsed(arguments)
        chosen = _study(arguments, storage, study, sampler, seed, _mode(fixed))
    except PipelineError as error:
        print(f"error: {escaped_error(error)}", file=sys.stderr)
        raise SystemExit(1) from None
    open_before, failed = _open(chosen), 0
    while open_before or _finished(chosen) + failed < trials:
        batch, open_before = open_before[:at_once], open_before[at_once:]
        left = min(at_once - len(batch), trials - _finished(chosen) - failed - len(batch))
        batch += [chosen.ask(searched) for _ in range(left)]
        jobs = [[*fixed, *(f"{k}={v}" for k, v in each.params.items())] for each in batch]
        for trial, objective in zip(batch, launch(jobs), strict=True):
            if math.isnan(objective):
                failed += 1
            else:
                chosen.tell(trial.number, objective)
    return _best(chosen)


def _parsed(
    arguments: Sequence[str],
) -> tuple[dict[str, "optuna.distributions.BaseDistribution"], list[str]]:
    """Returns what is searched, by key, and the overrides that every job has."""
    overrides = OverridesParser.create().parse_overrides(list(arguments))
    searched = {each.get_key_element(): each for each in overrides if each.is_sweep_override()}
    if not searched:
        raise ParamsError(
            "hydra/sweeper=optuna: found nothing to search; say so as in "
            "'train.lr=tag(log,interval(0.0001,0.1))' or model=torch_mlp,torch_cnn"
        )
    fixed = [each.input_line or "" for each in overrides if not each.is_sweep_override()]
    return {key: _distribution(each) for key, each in searched.items()}, fixed


def _distribution(override: Override) -> "optuna.distributions.BaseDistribution":
    """Returns an interval as Optuna's, of whole numbers where it is `int(interval(1,10))`; anything
    else is a choice."""
    from optuna import distributions

    value = override.value()
    if not isinstance(value, IntervalSweep):
        return distributions.CategoricalDistribution(list(override.sweep_string_iterator()))
    assert value.start is not None and value.end is not None
    log = "log" in value.tags
    try:
        if isinstance(value.start, int) and isinstance(value.end, int):
            return distributions.IntDistribution(value.start, value.end, log=log)
        return distributions.FloatDistribution(value.start, value.end, log=log)
    except ValueError as error:
        raise ParamsError(f"{override.input_line}: {error}") from None


def _mode(fixed: Sequence[str]) -> str:
    with apart_from_hydra():
        values, _ = composed(CONF, fixed)
    return str(values["checkpoint"]["mode"])


def _study(
    arguments: Sequence[str],
    storage: str | None,
    name: str | None,
    sampler: str,
    seed: int,
    mode: str,
) -> "optuna.Study":
    """Returns the study of this name, or a new one. Null is a name by the command line, and a file
    in multirun/."""
    import optuna
    from optuna.study import StudyDirection

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    kind = getattr(optuna.samplers, sampler, None)
    if not isinstance(kind, type):
        known = [each for each in optuna.samplers.__all__ if each.endswith("Sampler")]
        raise ParamsError(f"hydra.sweeper.sampler: found {sampler!r}, expected one of {known}")
    return optuna.create_study(
        study_name=name or plan.name_of(plan.source(ROOT), arguments),
        storage=storage or _file(),
        sampler=kind(seed=seed),
        direction=StudyDirection[DIRECTIONS[mode]],
        load_if_exists=True,
    )


def _file() -> "optuna.storages.BaseStorage":
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    folder = ROOT / plan.FOLDER
    folder.mkdir(exist_ok=True)
    return JournalStorage(JournalFileBackend(str(folder / "optuna.journal")))


def _demand_optuna() -> None:
    if importlib.util.find_spec("optuna") is None:
        raise CannotRun("optuna: not installed; `uv pip install optuna`")


def _open(study: "optuna.Study") -> list[Any]:
    """Returns the trials that an earlier start has asked for and not finished."""
    from optuna.trial import TrialState

    return list(study.get_trials(states=[TrialState.RUNNING]))


def _finished(study: "optuna.Study") -> int:
    from optuna.trial import TrialState

    return len(study.get_trials(states=[TrialState.COMPLETE]))


def _best(study: "optuna.Study") -> float:
    """Returns the best objective, and says which values came to it."""
    if not _finished(study):
        return math.nan
    values = " ".join(f"{key}={value}" for key, value in study.best_params.items())
    print(f"best of {_finished(study)} trials: {study.best_value:.6g} with {values}")
    return float(study.best_value)

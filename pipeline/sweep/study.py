"""A study of Optuna's is a sweep whose next jobs hang on what those before came to.

It lies in a file or a database, so that one that was ended goes on: a trial that was not finished
stays open, is run again at the next start, and is the same job.
"""

import importlib.util
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override

from pipeline.config.merge import composed
from pipeline.errors import CannotRun, ParamsError, PipelineError
from pipeline.project import CONF, ROOT
from pipeline.provenance.addresses import without_login
from pipeline.sweep import plan
from pipeline.sweep.jobs import Pruned
from pipeline.sweep.pruning import Pruning
from pipeline.sweep.session import apart_from_hydra
from pipeline.text import escaped_error

if TYPE_CHECKING:
    import optuna

Launch = Callable[[Sequence[Sequence[str]], Pruning], list[float | Pruned]]
"""From the overrides of some jobs, and who watches their epochs, to their objectives, NaN of a
failed one."""
Show = Callable[["optuna.Study"], None]
"""Has a look at the study after each batch."""
DIRECTIONS = {"max": "MAXIMIZE", "min": "MINIMIZE"}


@dataclass(frozen=True, kw_only=True)
class Options:
    """What stands in conf/hydra/sweeper/optuna.yaml, and is explained there."""

    trials: int
    at_once: int
    sampler: str
    seed: int
    storage: str | None = None
    study: str | None = None
    pruner: str | None = None
    pruner_options: Mapping[str, Any] = field(default_factory=dict)
    in_clones: bool = True
    """Whether the launcher's jobs have clones, without which nothing is seen of their epochs."""


def run(arguments: Sequence[str], launch: Launch, show: Show, options: Options) -> float:
    """Runs trials until so many are finished or pruned, or as many were tried; returns the best
    objective.

    `at_once` of them are asked for and launched together.
    """
    try:
        _demand_optuna()
        searched, fixed = _parsed(arguments)
        metric, mode = _objective(fixed)
        chosen = _study(arguments, options, mode)
    except PipelineError as error:
        print(f"error: {escaped_error(error)}", file=sys.stderr)
        raise SystemExit(1) from None
    open_before, failed = _open(chosen), 0
    while open_before or _ended(chosen) + failed < options.trials:
        batch, open_before = open_before[: options.at_once], open_before[options.at_once :]
        left = options.trials - _ended(chosen) - failed - len(batch)
        left = min(options.at_once - len(batch), left)
        asked = {chosen.ask(searched).number for _ in range(left)}
        batch += [trial for trial in _open(chosen) if trial.number in asked]
        jobs = [(*fixed, *(f"{k}={v}" for k, v in each.params.items())) for each in batch]
        watch = Pruning(chosen, dict(zip(jobs, batch, strict=True)), metric)
        for trial, outcome in zip(batch, launch(jobs, watch), strict=True):
            if isinstance(outcome, Pruned):
                chosen.tell(trial.number, state=_state("PRUNED"), skip_if_finished=True)
            elif math.isnan(outcome):
                failed += 1
            else:
                chosen.tell(trial.number, outcome, skip_if_finished=True)
        show(chosen)
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


def _objective(fixed: Sequence[str]) -> tuple[str, str]:
    """Returns the metric that is optimized, and whether its greatest or least value is best."""
    with apart_from_hydra():
        values, _ = composed(CONF, fixed)
    return str(values["checkpoint"]["metric"]), str(values["checkpoint"]["mode"])


def _study(arguments: Sequence[str], options: Options, mode: str) -> "optuna.Study":
    """Returns the study of this name, or a new one. Null is a name by the command line, and a file
    in multirun/."""
    import optuna
    from optuna.study import StudyDirection

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = _made(optuna.samplers, "sampler", options.sampler, seed=options.seed)
    chosen = options.pruner or "NopPruner"
    if options.pruner and not options.in_clones:
        raise ParamsError(
            f"hydra.sweeper.pruner: found {chosen}, which ends jobs that run in clones of their "
            "own; add hydra/launcher=joblib, or another of conf/hydra/launcher/"
        )
    pruner = _made(optuna.pruners, "pruner", chosen, **dict(options.pruner_options))
    with _translate_storage_errors(options.storage):
        return optuna.create_study(
            study_name=options.study or plan.name_of(plan.source(ROOT), arguments),
            storage=options.storage or _file(),
            sampler=sampler,
            pruner=pruner,
            direction=StudyDirection[DIRECTIONS[mode]],
            load_if_exists=True,
        )


@contextmanager
def _translate_storage_errors(storage: str | None) -> Iterator[None]:
    """Raises ParamsError for a database that cannot be used. Optuna takes MLflow's table of
    versions for its own, and says that itself were too old."""
    from optuna.exceptions import OptunaError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (OptunaError, SQLAlchemyError, RuntimeError, ImportError) as fault:
        first = str(fault).partition("\n")[0]
        raise ParamsError(
            f"hydra.sweeper.storage: found {without_login(str(storage))}: {first} Name a database "
            "that no other program has tables in (MLflow's is one that has), or null"
        ) from None


def _made(package: Any, option: str, name: str, **arguments: Any) -> Any:
    """Returns one of Optuna's samplers or pruners. Raises ParamsError."""
    known = [each for each in package.__all__ if each.endswith(option.title()) and each[0] != "B"]
    if name not in known:
        raise ParamsError(f"hydra.sweeper.{option}: found {name!r}, expected one of {known}")
    try:
        return getattr(package, name)(**arguments)
    except (TypeError, ValueError) as fault:
        raise ParamsError(f"hydra.sweeper.{option}: {name}: {fault}") from None


def _file() -> "optuna.storages.BaseStorage":
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    folder = ROOT / plan.FOLDER
    folder.mkdir(exist_ok=True)
    return JournalStorage(JournalFileBackend(str(folder / "optuna.journal")))


def _demand_optuna() -> None:
    if importlib.util.find_spec("optuna") is None:
        raise CannotRun("optuna: not installed; `uv pip install optuna`")


def _state(name: str) -> Any:
    from optuna.trial import TrialState

    return TrialState[name]


def _open(study: "optuna.Study") -> "list[optuna.trial.FrozenTrial]":
    """Returns the trials that were asked for and not finished, by an earlier start too."""
    return study.get_trials(states=[_state("RUNNING")])


def _count(study: "optuna.Study", state: str) -> int:
    return len(study.get_trials(deepcopy=False, states=[_state(state)]))


def _ended(study: "optuna.Study") -> int:
    return _count(study, "COMPLETE") + _count(study, "PRUNED")


def _best(study: "optuna.Study") -> float:
    """Returns the best objective, and says which values came to it."""
    finished, pruned = _count(study, "COMPLETE"), _count(study, "PRUNED")
    if not finished:
        return math.nan
    values = " ".join(f"{key}={value}" for key, value in study.best_params.items())
    others = f" ({pruned} more pruned)" if pruned else ""
    print(f"best of {finished} trials{others}: {study.best_value:.6g} with {values}")
    return float(study.best_value)

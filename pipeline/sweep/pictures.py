"""A study is drawn: what its trials came to, one after the other, and which values mattered."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna
    from matplotlib.figure import Figure

ENOUGH = 4
"""Finished trials from which it can be said which values mattered."""


def drawn(study: "optuna.Study", seed: int) -> tuple[dict[str, "Figure"], dict[str, float]]:
    """Returns pictures by their file's name, and the importance of each value that was searched: a
    share of how far the objectives lie apart."""
    shares = _importances(study, seed)
    figures = {"study/history.png": _history(study)}
    if shares:
        figures["study/importances.png"] = _bars(shares)
    return figures, {f"importance/{name}": share for name, share in shares.items()}


def _history(study: "optuna.Study") -> "Figure":
    from matplotlib.figure import Figure
    from optuna.study import StudyDirection
    from optuna.trial import TrialState

    better = min if study.direction is StudyDirection.MINIMIZE else max
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    best: list[tuple[int, float]] = []
    for trial in study.get_trials(deepcopy=False):
        finished = trial.state is TrialState.COMPLETE
        if trial.value is None or not (finished or trial.state is TrialState.PRUNED):
            continue
        axes.plot(trial.number, trial.value, "o", color="C0", mfc="C0" if finished else "none")
        if finished:
            value = better(best[-1][1], trial.value) if best else trial.value
            best.append((trial.number, value))
    if best:
        axes.step(*zip(*best, strict=True), where="post", color="C1", label="best so far")
        axes.legend()
    axes.set(xlabel="trial (hollow: pruned)", ylabel="objective")
    axes.locator_params(axis="x", integer=True)
    axes.grid(alpha=0.3)
    return figure


def _importances(study: "optuna.Study", seed: int) -> dict[str, float]:
    """Returns none where too few trials are finished, or all came to the same."""
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances
    from optuna.trial import TrialState

    finished = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    if len(finished) < ENOUGH or len({trial.value for trial in finished}) == 1:
        return {}
    return get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=seed))


def _bars(shares: dict[str, float]) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 1 + 0.4 * len(shares)), layout="constrained")
    axes = figure.add_subplot()
    axes.barh([*shares][::-1], [*shares.values()][::-1])
    axes.set(xlabel="importance", xlim=(0, 1))
    return figure

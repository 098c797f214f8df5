"""A study asks for what is promising, goes on where it was ended, and tells a mistake in a line."""

import math
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from pipeline.sweep import study
from pipeline.sweep.jobs import Pruned
from pipeline.sweep.pictures import drawn
from pipeline.sweep.pruning import Pruning
from testing.project import Project
from testing.sweeps import PRUNING, began, experiments, parents, rates, sweep

WORDS = ["train.lr=tag(log,interval(0.001,1.0))", "model=torch_mlp,torch_cnn", "checkpoint=default"]


def options(tmp_path: Path, **others: Any) -> study.Options:
    plain = {"trials": 12, "at_once": 3, "study": "one", "sampler": "TPESampler", "seed": 0}
    return study.Options(**{**plain, "storage": f"sqlite:///{tmp_path}/study.db", **others})


def run(launch: study.Launch, chosen: study.Options, words: Sequence[str] = WORDS) -> float:
    return study.run(words, launch, lambda study: None, chosen)


def objective(job: Sequence[str]) -> float:
    """Best at a rate of 0.1 with torch_cnn."""
    values = dict(word.split("=") for word in job)
    assert values["checkpoint"] == "default"
    return -abs(math.log10(float(values["train.lr"])) + 1) + (values["model"] == "torch_cnn")


def test_it_is_asked_in_batches_and_comes_near_the_best(tmp_path: Path) -> None:
    batches: list[int] = []

    def launch(jobs: Sequence[Sequence[str]], _: Pruning) -> list[float]:
        batches.append(len(jobs))
        return [objective(job) for job in jobs]

    best = run(launch, options(tmp_path, trials=20))
    assert best > 0.5 and batches == [3] * 6 + [2]
    assert run(launch, options(tmp_path, trials=20)) == best
    assert batches == [3] * 6 + [2]
    assert run(launch, options(tmp_path, trials=21)) >= best
    assert batches == [3] * 6 + [2, 1]


def test_what_failed_or_was_ended_is_run_first_at_the_next_start(tmp_path: Path) -> None:
    asked: list[list[tuple[str, ...]]] = []
    ended = True

    class Ended(BaseException):
        pass

    def launch(jobs: Sequence[Sequence[str]], _: Pruning) -> list[float]:
        asked.append([tuple(job) for job in jobs])
        if not ended:
            return [objective(job) for job in jobs]
        if len(asked) == 2:
            raise Ended
        return [objective(job) if index else math.nan for index, job in enumerate(jobs)]

    with pytest.raises(Ended):
        run(launch, options(tmp_path))
    lost = [asked[0][0], *asked[1]]
    del asked[:]
    ended = False
    run(launch, options(tmp_path))
    again = [job for batch in asked for job in batch]
    assert again[:4] == lost and len(again) == 10
    [kept] = [optuna.load_study(study_name="one", storage=options(tmp_path).storage)]
    assert {each.state.name for each in kept.trials} == {"COMPLETE"} and len(kept.trials) == 12


def test_failing_jobs_end_the_study(tmp_path: Path) -> None:
    count = []
    best = run(lambda jobs, _: count.extend(jobs) or [math.nan] * len(jobs), options(tmp_path))
    assert math.isnan(best) and len(count) == 12


def epochs(*values: float) -> list[dict[str, float]]:
    return [{"epoch": float(n), "val/accuracy": value} for n, value in enumerate(values, 1)]


def test_a_trial_is_judged_at_each_epoch_and_a_pruned_one_counts_and_is_not_run_again(
    tmp_path: Path,
) -> None:
    pruner = {"pruner": "MedianPruner", "pruner_options": {"n_startup_trials": 2}}
    chosen = options(tmp_path, trials=4, at_once=2, **pruner)
    ended: list[int | None] = []

    def launch(jobs: Sequence[Sequence[str]], watch: Pruning) -> list[float | Pruned]:
        outcomes: list[float | Pruned] = []
        for job in jobs:
            if len(ended) < 2:  # there is nothing to compare it with
                ended.append(watch.pruned_after(job, epochs(0.5, 0.6)))
                watch.finished(job, epochs(0.5, 0.6, 0.7))
                outcomes.append(0.7)
                continue
            assert watch.pruned_after(job, epochs(0.55)) is None
            ended.append(watch.pruned_after(job, epochs(0.55, 0.1, 0.9)))
            outcomes.append(Pruned(rows=epochs(0.55, 0.1)))
        return outcomes

    assert run(launch, chosen) == 0.7
    assert ended == [None, None, 2, 2]
    trials = optuna.load_study(study_name="one", storage=chosen.storage).trials
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 2 + ["PRUNED"] * 2
    assert trials[0].intermediate_values == {1: 0.5, 2: 0.6, 3: 0.7}
    assert trials[2].intermediate_values == {1: 0.55, 2: 0.1} and trials[2].value == 0.1
    assert run(launch, chosen) == 0.7 and len(ended) == 4


@pytest.mark.parametrize(
    ("word", "distribution"),
    [
        ("a=interval(1,10)", FloatDistribution(1.0, 10.0)),
        ("a=tag(log,interval(1e-4,0.1))", FloatDistribution(1e-4, 0.1, log=True)),
        ("a=int(interval(1,10))", IntDistribution(1, 10)),
        ("a=range(1,4)", CategoricalDistribution(["1", "2", "3"])),
        ("a=x,null", CategoricalDistribution(["x", "null"])),
        ('a="x y",z', CategoricalDistribution(['"x y"', "z"])),
    ],
)
def test_what_hydra_sweeps_is_what_optuna_searches(word: str, distribution: object) -> None:
    assert study._distribution(OverridesParser.create().parse_override(word)) == distribution


@pytest.mark.parametrize(
    ("words", "others", "said"),
    [
        (
            ["train.lr=0.1"],
            {},
            "error: hydra/sweeper=optuna: found nothing to search; say so as in",
        ),
        (WORDS, {"sampler": "TPE"}, "error: hydra.sweeper.sampler: found 'TPE', expected one of"),
        (
            WORDS,
            {"pruner": "Median"},
            "error: hydra.sweeper.pruner: found 'Median', expected one of",
        ),
        (
            WORDS,
            {"pruner": "MedianPruner", "pruner_options": {"n": 1}},
            "error: hydra.sweeper.pruner: MedianPruner: ",
        ),
        (
            WORDS,
            {"pruner": "MedianPruner", "in_clones": False},
            "error: hydra.sweeper.pruner: found MedianPruner, which ends jobs that run in clones",
        ),
        (["train.lr=interval(1,0)"], {}, "error: train.lr=interval(1,0): "),
        ([*WORDS, "train.x=1"], {}, "error: train.x: no such key"),
    ],
)
def test_a_mistake_is_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    others: dict[str, Any],
    said: str,
) -> None:
    with pytest.raises(SystemExit):
        run(lambda jobs, _: [0.0] * len(jobs), options(tmp_path, **others), words)
    text = capsys.readouterr().err
    assert text.startswith(said) and text.count("\n") == 1


def test_a_database_of_another_programs_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with sqlite3.connect(tmp_path / "study.db") as mlflow:
        mlflow.execute("create table alembic_version (version_num varchar(32) not null)")
        mlflow.execute("insert into alembic_version values ('dc11669786a5')")
    for chosen in (options(tmp_path), options(tmp_path, storage="sqlite:////nowhere/at/all.db")):
        with pytest.raises(SystemExit):
            run(lambda jobs, _: [0.0] * len(jobs), chosen)
        text = capsys.readouterr().err
        assert text.startswith("error: hydra.sweeper.storage: found sqlite:///"), text
        assert text.count("\n") == 1 and "Name a database that no other program" in text


def test_it_runs_jobs_in_clones_and_the_same_command_runs_none_again(quick: Project) -> None:
    words = ("hydra/sweeper=optuna", "hydra/launcher=joblib", "train.lr=interval(0.1,0.9)")
    done = sweep(quick, *words, "hydra.sweeper.trials=3", "hydra.sweeper.at_once=2")
    assert "3 jobs, 3 finished, 0 not" in done.stdout and len(began(quick)) == 3
    best = min(map(float, began(quick)))
    assert f"best of 3 trials: {1 - best:.4g}"[:24] in done.stdout
    assert len(experiments(quick)) == 3
    assert [each["status"] for each in parents(quick)] == ["FINISHED"]
    sweep(quick, *words, "hydra.sweeper.trials=3")
    assert len(began(quick)) == 3


def test_a_trial_that_does_worse_than_those_before_ends_early_and_says_so_everywhere(
    quick: Project,
) -> None:
    words = (*PRUNING, "hydra/launcher=joblib")
    quick.run("dvc", "repro")
    (quick.root / "began").unlink()
    quick.commit("a good training, which every clone has before its own")
    (quick.root / "hold-0.9").touch()  # it would never end by itself
    done = sweep(quick, *words)
    assert "2 jobs, 1 finished (1 of them before), 1 pruned, 0 not" in done.stdout
    assert "train.lr=0.9: pruned after epoch 1" in done.stdout and "more pruned)" in done.stdout
    assert list(rates(quick).values()) == [0.1]
    assert not list(quick.root.glob("multirun/*/*/.git"))
    [log] = quick.root.glob("multirun/*/lr0.9-*.log")
    said = log.read_text().removesuffix("error: DVC is gone\n")  # of the stage that waited
    assert said.endswith("pruned after epoch 1: the study wants no more of it\n")
    assert [each["status"] for each in parents(quick)] == ["FINISHED"]
    with sqlite3.connect(quick.root / "mlflow.db") as store:
        listed = store.execute(
            "select r.status, m.key, m.value, m.step from runs r join tags t using (run_uuid) "
            "join metrics m using (run_uuid) where t.key = 'sweep.pruned'"
        ).fetchall()
    assert listed == [("KILLED", "val/accuracy", pytest.approx(0.05), 1)]
    pictures = list(quick.root.glob("mlartifacts/**/study/history.png"))
    assert len(pictures) == 1 and pictures[0].read_bytes().startswith(b"\x89PNG")
    before = began(quick)
    sweep(quick, *words)
    assert began(quick) == before


def test_which_value_mattered_is_drawn_and_told() -> None:
    chosen = optuna.create_study()
    for number in range(30):
        trial = chosen.ask({"much": FloatDistribution(0, 1), "none": FloatDistribution(0, 1)})
        chosen.tell(trial, trial.params["much"])
        figures, values = drawn(chosen, seed=0)
        assert ("study/importances.png" in figures) == bool(values) == (number >= 3)
    assert values["importance/much"] > 0.9 > 0.1 > values["importance/none"]

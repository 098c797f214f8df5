"""A study asks for what is promising, goes on where it was ended, and tells a mistake in a line."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from pipeline.sweep import study
from testing.project import Project
from testing.sweeps import began, experiments, make_quick, parents, sweep

WORDS = ["train.lr=tag(log,interval(0.001,1.0))", "model=torch_mlp,torch_cnn", "checkpoint=default"]


def options(tmp_path: Path, **others: Any) -> dict[str, Any]:
    plain = {"trials": 12, "at_once": 3, "study": "one", "sampler": "TPESampler", "seed": 0}
    return {**plain, "storage": f"sqlite:///{tmp_path}/study.db", **others}


def objective(job: Sequence[str]) -> float:
    """Best at a rate of 0.1 with torch_cnn."""
    values = dict(word.split("=") for word in job)
    assert values["checkpoint"] == "default"
    return -abs(math.log10(float(values["train.lr"])) + 1) + (values["model"] == "torch_cnn")


def test_it_is_asked_in_batches_and_comes_near_the_best(tmp_path: Path) -> None:
    batches: list[int] = []

    def launch(jobs: Sequence[Sequence[str]]) -> list[float]:
        batches.append(len(jobs))
        return [objective(job) for job in jobs]

    best = study.run(WORDS, launch, **options(tmp_path, trials=20))
    assert best > 0.5 and batches == [3] * 6 + [2]
    assert study.run(WORDS, launch, **options(tmp_path, trials=20)) == best
    assert batches == [3] * 6 + [2]
    assert study.run(WORDS, launch, **options(tmp_path, trials=21)) >= best
    assert batches == [3] * 6 + [2, 1]


def test_what_failed_or_was_ended_is_run_first_at_the_next_start(tmp_path: Path) -> None:
    asked: list[list[tuple[str, ...]]] = []
    ended = True

    class Ended(BaseException):
        pass

    def launch(jobs: Sequence[Sequence[str]]) -> list[float]:
        asked.append([tuple(job) for job in jobs])
        if not ended:
            return [objective(job) for job in jobs]
        if len(asked) == 2:
            raise Ended
        return [objective(job) if index else math.nan for index, job in enumerate(jobs)]

    with pytest.raises(Ended):
        study.run(WORDS, launch, **options(tmp_path))
    lost = [asked[0][0], *asked[1]]
    del asked[:]
    ended = False
    study.run(WORDS, launch, **options(tmp_path))
    again = [job for batch in asked for job in batch]
    assert again[:4] == lost and len(again) == 10
    [kept] = [optuna.load_study(study_name="one", storage=options(tmp_path)["storage"])]
    assert {each.state.name for each in kept.trials} == {"COMPLETE"} and len(kept.trials) == 12


def test_failing_jobs_end_the_study(tmp_path: Path) -> None:
    count = []
    best = study.run(
        WORDS, lambda jobs: count.extend(jobs) or [math.nan] * len(jobs), **options(tmp_path)
    )
    assert math.isnan(best) and len(count) == 12


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
        study.run(words, lambda jobs: [0.0] * len(jobs), **options(tmp_path, **others))
    text = capsys.readouterr().err
    assert text.startswith(said) and text.count("\n") == 1


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[Project]:
    return make_quick(tmp_path / "project")


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

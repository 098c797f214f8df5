"""Every habit of a DVC or Hydra user, with real DVC; the whole pipeline, as it is typed."""

import json
import re
import shutil
import sqlite3

import pytest

from pipeline import provenance
from pipeline.config.yaml_text import dump_yaml, load_yaml
from testing.project import Project, make_project
from testing.sweeps import experiments, rates, sweep

UNTIL_PREPARE = ("dvc", "repro", "prepare")
SKIPPED = "Stage '{}' didn't change, skipping"


def params(project: Project) -> dict:
    return load_yaml(project.read("params.yaml"), "params.yaml")


def edit(project: Project, path: str, old: str, new: str) -> None:
    text = project.read(path)
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {path}"
    (project.root / path).write_text(text.replace(old, new))


def ran(said: str) -> list[str]:
    return [line.split("'")[1] for line in said.splitlines() if line.startswith("Running stage")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Project:
    """A project in a directory with a space and an umlaut, after `python -m pipeline`."""
    project = make_project(tmp_path_factory.mktemp("whole") / "mein Prüfstand")
    said = project.run("python", "-m", "pipeline", "experiment=smoke", fresh=True).stdout
    (project.root / "said.txt").write_text(said)
    return project


def test_the_command_line_runs_every_stage_and_ends_with_a_summary(whole):
    said = whole.read("said.txt")
    assert ran(said) == list(load_yaml(whole.read("dvc.yaml"), "dvc.yaml")["stages"])
    run = json.loads(whole.read("reports/mlflow.json"))["run_id"]
    told = ("test/accuracy 0.", "artifacts/complete-model/", "passed", run, "make ui")
    for expected in (
        *told,
        "`git commit --message '…' -- dvc.lock params.yaml conf.lock.yaml` keeps",
    ):
        assert expected in said


def test_a_second_repro_runs_nothing(whole):
    said = whole.run("dvc", "repro").stdout
    assert ran(said) == []
    assert "Data and pipelines are up to date." in said


def test_git_sees_nothing_but_dvcs_records_and_params(whole):
    (whole.root / "said.txt").unlink(missing_ok=True)
    changed = {line[3:] for line in whole.run("git", "status", "--porcelain").stdout.splitlines()}
    assert changed == {"dvc.lock", "params.yaml", "conf.lock.yaml"}


def test_dvcs_own_tools_work_on_the_pipeline(whole):
    assert "test/accuracy" in whole.run("dvc", "metrics", "show").stdout
    assert "train.epochs" in whole.run("dvc", "params", "diff").stdout
    assert "log-to-mlflow" in whole.run("dvc", "dag").stdout
    assert "test/accuracy" in whole.run("dvc", "exp", "show", "--csv").stdout
    whole.run("dvc", "plots", "show", "--out", ".dvc/tmp/plots")
    page = whole.read(".dvc/tmp/plots/index.html")
    assert "Confusion matrix" in page and "val/loss" in page


@pytest.mark.parametrize(
    ("module", "stages"),
    {
        # seed(); verify, too, loads of the folder what scores metrics
        "pipeline/training/parts.py": ("train", "checkpoint", "export-complete", "verify"),
        "pipeline/prepare.py": ("prepare",),
        "pipeline/data/splits.py": ("prepare", "train", "checkpoint", "verify"),
        "pipeline/verification/comparison.py": ("verify",),
        "pipeline/sandbox/launcher/calls.py": ("verify",),
    }.items(),
)
def test_a_change_in_code_reruns_the_stages_whose_result_it_can_change(whole, module, stages):
    before = whole.read(module)
    (whole.root / module).write_text(f"{before}\nCHANGED = True\n")
    status = json.loads(whole.run("dvc", "status", "--json").stdout)
    (whole.root / module).write_text(before)
    dep = "/".join(module.split("/")[: 1 + (module.count("/") > 0)])
    assert status == {stage: [{"changed deps": {dep: "modified"}}] for stage in stages}


def test_another_seed_function_trains_again_and_goes_on_with_nothing_half_trained(whole, copy_of):
    project = copy_of(whole)
    output, first = project.root / "artifacts/train", "epoch_0001.pt"
    plan = provenance.read(output)["predicate"]["buildDefinition"]
    plan["resolvedDependencies"].pop(0)  # the commit
    saved = {first: provenance.digest(output / first)}
    shutil.copytree(output, project.root / "half")
    shutil.rmtree(output)
    (project.root / "half").rename(output)  # no link into DVC's cache
    (output / "provenance.json").unlink()
    (output / "unfinished.json").write_text(json.dumps({"plan": plan, "saved": saved}))
    edit(project, "pipeline/training/parts.py", "[base, epoch]", "[base, epoch, 1]")
    said = project.run("dvc", "repro", "train").stdout
    assert "train" in ran(said) and "going on" not in said
    assert "begun from other pipeline/training; kept in" in said
    assert provenance.digest(output / first) != saved[first]


def test_a_comment_in_conf_runs_compose_alone(whole):
    (whole.root / "conf/config.yaml").write_text(whole.read("conf/config.yaml") + "# a comment\n")
    assert ran(whole.run("dvc", "repro").stdout) == ["compose"]


def test_an_edit_in_conf_runs_what_it_concerns(project):
    project.run(*UNTIL_PREPARE)
    edit(project, "conf/train/default.yaml", "epochs: 20", "epochs: 3")
    assert ran(project.run(*UNTIL_PREPARE).stdout) == ["compose"]
    assert params(project)["train"]["epochs"] == 3
    edit(project, "conf/data/digits.yaml", "seed: 0", "seed: 1")
    assert ran(project.run(*UNTIL_PREPARE).stdout) == ["compose", "prepare"]
    assert ran(project.run(*UNTIL_PREPARE).stdout) == []


def test_an_edit_of_params_reaches_its_stage_and_stays_through_an_edit_in_conf(project):
    project.run(*UNTIL_PREPARE)
    edit(project, "params.yaml", "test: 0.2", "test: 0.3")
    assert "prepare" in ran(project.run(*UNTIL_PREPARE).stdout)
    edit(project, "conf/data/digits.yaml", "val: 0.2", "val: 0.1")
    project.run(*UNTIL_PREPARE)
    split = params(project)["data"]["split"]
    assert (split["val"], split["test"]) == (0.1, 0.3)


def test_every_way_to_the_same_values_ends_in_the_same_bytes(tmp_path):
    """The statement of the data names params, code and every byte, so its digest says it all."""
    start = make_project(tmp_path / "start")
    stages = load_yaml(start.read("dvc.yaml"), "dvc.yaml")["stages"]
    few = {"stages": {name: stages[name] for name in ("compose", "prepare")}}
    (start.root / "dvc.yaml").write_text(dump_yaml(few))
    start.commit("the stages that make the data")
    commit = start.run("git", "rev-parse", "HEAD").stdout.strip()

    def clone(name: str) -> Project:
        start.run("git", "clone", "--quiet", str(start.root), str(tmp_path / name))
        other = Project(tmp_path / name)
        assert other.run("git", "rev-parse", "HEAD").stdout.strip() == commit
        return other

    by_conf, by_params = clone("conf"), clone("params")
    by_experiment, by_command_line = clone("experiment"), clone("command")
    edit(by_conf, "conf/data/digits.yaml", "seed: 0", "seed: 7")
    edit(by_params, "params.yaml", "    seed: 0", "    seed: 7")
    by_conf.run(*UNTIL_PREPARE)
    by_params.run(*UNTIL_PREPARE)
    by_experiment.run("dvc", "exp", "run", "-S", "data.split.seed=7", "prepare")
    by_command_line.run("python", "-m", "pipeline", "data.split.seed=7")
    digests = {
        p.root.name: provenance.digest(p.root / "artifacts/data")
        for p in (by_conf, by_params, by_experiment, by_command_line)
    }
    assert len(set(digests.values())) == 1, digests


def test_an_experiment_switches_model_and_value(project):
    said = project.run(
        "dvc", "exp", "run", "-S", "model=torch_cnn", "-S", "train.lr=0.1", "prepare"
    )
    assert "compose" in ran(said.stdout)
    values = params(project)
    assert values["model"]["net"]["_target_"] == "models.torch_cnn.TorchCNN"
    assert values["train"]["lr"] == values["model"]["optimizer"]["lr"] == 0.1
    assert ran(project.run(*UNTIL_PREPARE).stdout) == []


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.epohcs=3", "error: train.epohcs: no such key; did you mean epochs? allowed: "),
        ("model=torch_mpl", "error: model=torch_mpl: no such option; did you mean torch_mlp? "),
        ("train.epochs=many", "error: train.epochs: found 'many', expected an integer"),
        ("train.epochs=0", "error: train.epochs: found 0, expected at least 1 without train.start"),
        ("train.device=tpu", "error: train.device: found 'tpu', expected one of cpu, cuda, auto"),
    ],
)
def test_a_wrong_override_is_one_line_before_any_work(project, override, said):
    before = project.read("params.yaml")
    done = project.run("python", "-m", "pipeline", override, check=False)
    assert done.returncode == 1
    assert done.stdout.startswith(said) and done.stdout.count("\n") == 1
    assert project.read("params.yaml") == before
    assert not (project.root / "artifacts").exists()


def test_help_lists_groups_and_options_and_cfg_prints_the_config(project):
    said = project.run("python", "-m", "pipeline", "--help").stdout
    assert re.search("model: .*torch_cnn, .*torch_mlp", said)
    assert re.search("experiment: .*diabetes, .*smoke", said)
    shown = project.run("python", "-m", "pipeline", "--cfg", "job", "train.epochs=3").stdout
    assert load_yaml(shown, "--cfg")["train"]["epochs"] == 3
    assert not (project.root / "artifacts").exists()
    wrong = project.run("python", "-m", "pipeline", "--cfg", "job", "train.epohcs=3", check=False)
    assert wrong.returncode == 1 and wrong.stdout.count("\n") == 1


def test_what_the_command_line_replaces_in_params_is_named(project):
    edit(project, "params.yaml", "batch_size: 32", "batch_size: 16")
    (project.root / "dvc.yaml").write_text("stages: {}\n")
    said = project.run("python", "-m", "pipeline", "train.epochs=3", check=False).stdout
    expected = "params.yaml: your own train.batch_size=16 is replaced; to keep it, add"
    assert f"{expected} train.batch_size=16\n" in said


def test_the_tab_key_completes_options_and_keys(project):
    script = """
        eval "$(python -m pipeline -sc install=bash)"
        for typed in model=torch_t train.ep; do
            COMP_LINE="python -m pipeline $typed"
            COMP_WORDS=(python -m pipeline $typed)
            COMP_CWORD=3
            _complete_pipeline
            echo "${COMPREPLY[@]}"
        done
    """
    said = project.run("bash", "-c", script).stdout
    names = ("torch_tabular", "torch_tagger", "torch_text", "torch_throws")
    assert said == " ".join(f"model={name}" for name in names) + "\ntrain.epochs=\n"


def test_a_sweep_is_one_job_a_value_and_a_refused_one_says_so(project):
    (project.root / "dvc.yaml").write_text("stages: {}\n")
    command = ("python", "-m", "pipeline", "-m", "train.epochs=3,many")
    done = project.run(*command, check=False)
    assert done.returncode == 1
    assert "\ntrain.epochs=3\n" in done.stdout
    assert "error: train.epochs: found 'many', expected an integer" in done.stdout


def test_a_sweep_in_clones_comes_to_the_same_model_and_to_children_of_one_run(whole):
    """A clone has of the first run what DVC has of the very same inputs: had the training come to
    other bytes, all that follows would have been made, and logged, anew."""
    run = json.loads(whole.read("reports/mlflow.json"))["run_id"]
    whole.run("git", "rm", "--quiet", "--cached", "dvc.lock")
    (whole.root / "dvc.lock").unlink()
    words = ("experiment=smoke", "train.epochs=2,1", "hydra/launcher=joblib")
    said = sweep(whole, *words).stdout
    assert "2 jobs, 2 finished, 0 not" in said
    assert sorted(rates(whole)) == sorted(experiments(whole))
    with sqlite3.connect(whole.root / "mlflow.db") as store:
        sweeps = dict(
            store.execute("select run_uuid, key from tags where key = 'sweep'").fetchall()
        )
        query = "select run_uuid, value from tags where key = 'mlflow.parentRunId'"
        children = dict(store.execute(query).fetchall())
    assert run in children and len(children) == 2
    assert set(children.values()) == sweeps.keys()

"""A team: two machines, and MLflow on PostgreSQL and an S3 store between them."""

import configparser
import re
import subprocess
import sys
import time
import urllib.error
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from faults._server import before, free_port
from pipeline.config.yaml_text import load_yaml
from pipeline.errors import PipelineError
from scripts.team import Team, new_secrets, program, read
from testing.project import ROOT, Project
from testing.team import (
    BUCKET,
    REMOTE,
    WORDS,
    Machine,
    Struck,
    asked,
    everywhere,
    first,
    runs,
    second,
    serving,
    without_bucket,
)

LOADED = """
import sys, mlflow, numpy
examples = numpy.load(sys.argv[2])
model = mlflow.pyfunc.load_model(sys.argv[1])
given = {"pixels": examples["input.pixels"]}
named = model.metadata.get_input_schema().has_input_names()
answers = model.predict(given if named else given["pixels"])
logits = answers["logits"] if isinstance(answers, dict) else answers
worst = abs(numpy.asarray(logits) - examples["output.logits"]).max()
assert worst < 1e-5, worst
print("the same answers")
"""


AUTH = configparser.ConfigParser()
AUTH.read(ROOT / "deploy/auth.ini")
REMEMBERED = AUTH.getint("mlflow", "auth_cache_ttl_seconds")


@pytest.fixture(scope="module")
def team() -> Iterator[Team]:
    with serving() as team:
        yield team


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("machines")


@pytest.fixture(scope="module")
def a(team: Team, folder: Path) -> Machine:
    return first(team, folder)


@pytest.fixture(scope="module")
def b(a: Machine, team: Team, folder: Path) -> Machine:
    machine = second(team, folder)
    machine.run("dvc", "pull", "--quiet")
    return machine


def test_a_second_machine_pulls_traces_examines_and_loads_what_the_first_pushed(a, b, tmp_path):
    assert b.logged == a.logged
    assert "up to date" in b.run("dvc", "repro").stdout
    for name in ("artifacts/complete-model", a.logged["run_id"], "models:/digits@verified"):
        traced = b.run("python", "-m", "pipeline.trace", name).stdout
        assert " 0 contradicted" in " ".join(traced.split())
        assert a.logged["complete_model"][:12] in traced
    assert (
        "passed all of this"
        in b.run("python", "-m", "pipeline.examine", "artifacts/complete-model").stdout
    )
    again = b.run("dvc", "repro", "--force", "--single-item", "verify").stdout
    assert "continuation: passed" in again
    examples = b.project.root / "artifacts/complete-model/examples/seven.npz"
    loaded = Project(tmp_path).script(
        LOADED, "models:/digits@verified", str(examples),
        parent="pytorch", **b.environ, MLFLOW_TRACKING_URI=b.team.uri,
    )  # fmt: skip
    assert "the same answers" in loaded.stdout


def test_two_machines_that_log_at_once_make_a_finished_run_each(a, b):
    known = {run["info"]["run_id"] for run in runs(a.team)}
    b.another_model()
    with ThreadPoolExecutor(2) as both:
        list(both.map(lambda each: each.log("at once", register="digits"), (a, b)))
    new = [run for run in runs(a.team) if run["info"]["run_id"] not in known]
    assert {run["info"]["run_id"] for run in new} == {a.logged["run_id"], b.logged["run_id"]}
    assert [run["info"]["status"] for run in new] == ["FINISHED", "FINISHED"]


@pytest.mark.parametrize(("part", "restarted"), [("mlflow", False), ("postgres", True)])
def test_a_part_that_falls_in_the_middle_of_a_log_leaves_one_run_and_it_is_whole(
    a, part, restarted
):
    falling = Struck(team=a.team, part=part, restarted=restarted)
    with before(falling) as proxy:
        proxy.set("dead", sound=12)
        done = a.log(f"falling {part}", proxy.uri)
        assert falling.struck
        if not restarted:
            assert one_line(done, f"MLflow at {proxy.uri}: ")
        proxy.set("")
        a.team.up()
        done = a.log(f"falling {part}", proxy.uri)
        assert done.returncode == 0, done.stdout
        traced = a.run("python", "-m", "pipeline.trace", a.logged["run_id"]).stdout
        assert " 0 contradicted" in " ".join(traced.split())
    found = [
        (run["info"]["run_id"], run["info"]["status"])
        for run in runs(a.team)
        if run["info"]["experiment_id"] == a.logged["experiment_id"]
        and run["info"]["lifecycle_stage"] == "active"
    ]
    assert found == [(a.logged["run_id"], "FINISHED")]


def one_line(done: subprocess.CompletedProcess, beginning: str) -> str:
    assert done.returncode == 1, done.stdout
    lines = done.stdout.splitlines()
    assert len(lines) == 1, done.stdout
    assert lines[0].startswith(f"error: log-to-mlflow: {beginning}"), done.stdout
    return lines[0]


def test_a_wrong_password_and_none_are_told_in_one_line_by_log_and_trace(a, b):
    told = "asks for a login (401), and got none or a wrong one; set MLFLOW_TRACKING_USERNAME"
    for wrong in ({"MLFLOW_TRACKING_PASSWORD": "wrong"}, {"MLFLOW_TRACKING_USERNAME": ""}):
        assert told in one_line(b.log("refused", **wrong), f"MLflow at {a.team.uri}: it ")
        traced = b.run("python", "-m", "pipeline.trace", a.logged["run_id"], check=False, **wrong)
        assert traced.returncode == 2
        assert len(traced.stdout.splitlines()) == 1
        assert told in traced.stdout


def test_a_login_that_was_taken_away_is_refused_a_few_seconds_later_by_every_worker(team):
    """auth.ini has each of them remember a login that was right."""
    login = ("eve", "a-secret-of-eve")

    def refused() -> bool:
        try:
            asked(team, "experiments/search", {"max_results": 1}, login=login)
        except urllib.error.HTTPError as error:
            assert error.code == 401
            return True
        return False

    asked(team, "users/create", {"username": login[0], "password": login[1]})
    assert not any(refused() for _ in range(10))
    asked(team, "users/delete", {"username": login[0]}, method="DELETE")
    time.sleep(REMEMBERED + 0.5)
    assert all(refused() for _ in range(10))


def test_a_host_that_is_none_and_one_that_does_not_answer_are_told_in_one_line(b):
    nowhere = "http://no-such-host.invalid:5000"
    assert "resolve 'no-such-host.invalid'" in one_line(
        b.log("none", nowhere), f"MLflow at {nowhere}: "
    )
    closed = f"http://127.0.0.1:{free_port()}"
    assert "Connection refused" in one_line(b.log("none", closed), f"MLflow at {closed}: ")


def test_a_bucket_that_the_store_has_not_is_told_in_one_line(b):
    with without_bucket(b.team):
        said = one_line(b.log("no bucket"), f"MLflow at {b.team.uri}: ")
        assert f"s3://{BUCKET}: The specified bucket does not exist" in said
    assert b.log("no bucket").returncode == 0


NOBODY = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "HOME": "/nonexistent"}
NOWHERE = "http://no-such-host.invalid:9000"
DVC_SAYS = {
    "a wrong key": ((), {"AWS_SECRET_ACCESS_KEY": "wrong"}, "Forbidden: An error occurred (403)"),
    "no key": ((), NOBODY, "Unable to locate credentials"),
    "no bucket": (("url", "s3://absent"), {}, "The specified bucket does not exist"),
    "no host": (("endpointurl", NOWHERE), {}, f'connect to the endpoint URL: "{NOWHERE}'),
}


@pytest.mark.parametrize("fault", DVC_SAYS)
def test_what_dvc_says_of_its_remote_is_what_the_readme_explains(b, fault):
    setting, environ, said = DVC_SAYS[fault]
    if setting:
        b.run(*REMOTE, *setting)
    try:
        done = b.run("dvc", "push", "--no-run-cache", check=False, **environ)
    finally:
        (b.project.root / ".dvc/config.local").unlink(missing_ok=True)
    assert done.returncode != 0
    assert said in done.stdout
    assert "Traceback" not in done.stdout


def test_no_secret_lies_anywhere_but_in_the_servers_own_file(a, b, team, folder):
    secrets = {n: v for n, v in team.settings.items() if re.search("PASSWORD|SECRET|KEY", n)}
    assert len(secrets) == 5
    words = [word.encode() for word in (*secrets.values(), *WORDS.values())]
    dumped = subprocess.run(
        [program("pg_dump")], env={**team.environ, **team.database}, capture_output=True
    )
    assert b.logged["run_id"].encode() in dumped.stdout
    read_in, met = 0, []
    for place, content in (*everywhere(team, folder), ("PostgreSQL", dumped.stdout)):
        read_in += len(content)
        met += [(place, word) for word in words if word in content]
    assert read_in > 10_000_000
    assert met == []
    assert (team.folder / ".env").stat().st_mode & 0o077 == 0


def test_status_says_what_runs_and_up_starts_what_does_not(team):
    def said(action: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "scripts.team", action, "--folder", str(team.folder)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        return done.returncode, done.stdout

    team.store.stop()
    code, shown = said("status")
    assert code == 1
    assert re.findall("^(\\w+) +(running|stopped)", shown, re.MULTILINE) == [
        ("postgres", "running"),
        ("s3", "stopped"),
        ("mlflow", "running"),
    ]
    assert said("up")[0] == 0
    assert team.store.running


def test_a_port_that_is_taken_ends_up_in_one_line_and_leaves_nothing_running(tmp_path, team):
    other = Team(folder=tmp_path / "other")
    new_secrets(other.folder / ".env", S3_PORT=team.settings["S3_PORT"])
    with pytest.raises(PipelineError, match=f"s3: port {team.store.port}: Address already in use"):
        other.store.start()
    assert not other.store.running


def test_a_part_that_does_not_start_says_its_last_words(tmp_path):
    other = Team(folder=tmp_path)
    new_secrets(tmp_path / ".env", S3_PORT=str(free_port()), AWS_SECRET_ACCESS_KEY="one,two")
    with pytest.raises(PipelineError, match="s3: ended with 1 .*expecting a single comma"):
        other.store.start()
    assert not other.store.running


def test_new_secrets_are_long_differ_and_never_replace_those_there(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    for file in (one, other):
        new_secrets(file)
    names = ["MLFLOW_AUTH_ADMIN_PASSWORD", "MLFLOW_FLASK_SERVER_SECRET_KEY", "PGPASSWORD"]
    names += ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
    values = [read(file)[name] for file in (one, other) for name in names]
    assert len(set(values)) == 10
    assert min(map(len, values)) == 32
    kept = one.read_text()
    new_secrets(one)
    assert one.read_text() == kept


COMPOSE = load_yaml((ROOT / "deploy/compose.yaml").read_text(), "compose.yaml")["services"]


def test_docker_runs_the_commands_that_the_tests_run_and_gives_them_all_they_read():
    for name, script in (("s3", "serve-s3"), ("mlflow", "serve-mlflow")):
        assert COMPOSE[name]["command"] == script
        text = (ROOT / "deploy" / script).read_text()
        wanted = set(re.findall(r"\$\{?([A-Z][A-Z_0-9]+)(?!:-|[A-Z_0-9])", text))
        assert wanted
        assert wanted <= set(COMPOSE[name]["environment"])


def test_docker_publishes_on_loopback_and_has_every_secret_from_the_file_alone():
    example = read(ROOT / "deploy/env.example")
    for name, service in COMPOSE.items():
        for port in service.get("ports", ()):
            assert re.match(r"\$\{(S3|MLFLOW)_HOST:-127\.0\.0\.1\}:", port), name
        assert "healthcheck" in service
        for key, value in service["environment"].items():
            if re.search("PASSWORD|SECRET|KEY", key):
                asked = re.fullmatch(r"\$\{(\w+):\?missing in deploy/\.env\}", value)
                assert asked, key
                assert example[asked[1]] == ""
    ignored = subprocess.run(["git", "check-ignore", "--quiet", "deploy/.env"], cwd=ROOT)
    assert ignored.returncode == 0


def test_the_image_holds_the_group_of_the_lock():
    text = (ROOT / "deploy/Dockerfile").read_text()
    assert "--constraint requirements.lock --group server" in text
    for copied in re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE):
        for name in copied.split():
            assert (ROOT / name).exists(), name
            assert f"!{name}\n" in (ROOT / "deploy/Dockerfile.dockerignore").read_text()

"""A team's server, and the machines of those who share it."""

import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from faults._server import free_port
from scripts.team import Team, new_secrets
from testing import in_memory
from testing.project import TINY, Project, make_project, needs

WORDS = {"ana": "a-secret-of-ana", "ben": "a-secret-of-ben"}
BUCKET = "models"
"""Another than MLflow's files lie in where nothing names one."""
REMOTE = ("dvc", "remote", "modify", "--local", "team")


@contextlib.contextmanager
def serving() -> Iterator[Team]:
    """Not in pytest's own folder: PostgreSQL's user, who is not root, may not enter that."""
    needs("initdb")
    folder = Path(tempfile.mkdtemp(prefix="team-", dir=os.environ.get(in_memory.ROOT)))
    folder.chmod(0o711)
    team = Team(folder=folder)
    ports = {name: str(free_port()) for name in ("MLFLOW_PORT", "S3_PORT", "PGPORT")}
    new_secrets(folder / ".env", **ports)
    with (folder / ".env").open("a") as settings:
        print(f"MLFLOW_BUCKET={BUCKET}", file=settings)
    (folder / "s3" / BUCKET).mkdir(parents=True)
    try:
        team.up()
        for name, word in WORDS.items():
            asked(team, "users/create", {"username": name, "password": word})
        yield team
    finally:
        team.down()
        shutil.rmtree(folder)


@contextlib.contextmanager
def without_bucket(team: Team) -> Iterator[None]:
    """The store's buckets are folders, which it looks for when it starts and then again after
    minutes."""
    there, away = team.folder / "s3" / BUCKET, team.folder / "away"
    team.store.stop()
    there.rename(away)
    team.store.start()
    try:
        yield
    finally:
        team.store.stop()
        away.rename(there)
        team.store.start()


def asked(
    team: Team,
    path: str,
    body: Mapping[str, Any],
    method: str = "POST",
    login: tuple[str, str] | None = None,
) -> dict[str, Any]:
    """What MLflow answers to a login, its administrator's where none is given."""
    told = team.settings
    login = login or (told["MLFLOW_AUTH_ADMIN_USERNAME"], told["MLFLOW_AUTH_ADMIN_PASSWORD"])
    request = urllib.request.Request(
        f"{team.uri}/api/2.0/mlflow/{path}",
        data=json.dumps(body).encode(),
        headers={
            "Authorization": f"Basic {base64.b64encode(':'.join(login).encode()).decode()}",
            "Content-Type": "application/json",
        },
        method=method,
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


def runs(team: Team) -> list[dict[str, Any]]:
    """Of every experiment, the deleted ones too."""
    experiments = asked(team, "experiments/search", {"max_results": 100})["experiments"]
    query = {"experiment_ids": [each["experiment_id"] for each in experiments]}
    return asked(team, "runs/search", {**query, "run_view_type": "ALL"}).get("runs", [])


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A clone with a cache of its own, and the logins of the one who works there."""

    project: Project
    team: Team
    user: str
    login: dict[str, str] = field(default_factory=dict)

    @property
    def environ(self) -> dict[str, str]:
        keys = {
            name: self.team.settings[name]
            for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        }
        own = {"MLFLOW_TRACKING_USERNAME": self.user, "MLFLOW_TRACKING_PASSWORD": WORDS[self.user]}
        return {**keys, **own, **self.login}

    def run(self, *command: str, check: bool = True, **environ: str) -> CompletedProcess:
        return self.project.run(*command, check=check, **{**self.environ, **environ})

    def pipeline(self) -> CompletedProcess:
        server = ("tracking=server", f"tracking.uri={self.team.uri}", "tracking.register=digits")
        return self.run("python", "-m", "pipeline", *TINY, *server)

    def another_model(self) -> None:
        """Trains it, without DVC."""
        self.project.params(*TINY, "train.seed=1", "verify.checks=[integrity]", "tracking=server")
        for name in ("train", "checkpoint", "export-complete", "verify"):
            self.project.stage(name)

    def log(
        self,
        experiment: str,
        uri: str | None = None,
        register: str | None = None,
        **environ: str,
    ) -> CompletedProcess:
        """The complete model at hand, once more, in an experiment of its own."""
        from pipeline.config.yaml_text import dump_yaml, load_yaml

        file = self.project.root / "params.yaml"
        params = load_yaml(file.read_text(), "params.yaml")
        params["tracking"] |= {"experiment": experiment, "uri": uri or self.team.uri}
        params["tracking"]["register"] = register
        file.write_text(dump_yaml(params))
        stages = load_yaml(self.project.read("dvc.yaml"), "dvc.yaml")["stages"]
        return self.run(*stages["log-to-mlflow"]["cmd"].split(), check=False, **environ)

    @property
    def logged(self) -> dict[str, Any]:
        return json.loads(self.project.read("reports/mlflow.json"))


def first(team: Team, folder: Path) -> Machine:
    """Trains, logs and pushes: the code to a bare repository, the artifacts to the S3 store."""
    machine = Machine(project=make_project(folder / "a"), team=team, user="ana")
    bare = ("git", "init", "--quiet", "--bare", "--initial-branch=main")
    machine.run(*bare, str(folder / "origin.git"))
    machine.run("git", "remote", "add", "origin", str(folder / "origin.git"))
    machine.run("dvc", "remote", "add", "--default", "team", "s3://dvc")
    machine.run("dvc", "remote", "modify", "team", "endpointurl", team.s3)
    machine.pipeline()
    machine.project.commit("a model")
    machine.run("git", "push", "--quiet", "origin", "main")
    machine.run("dvc", "push", "--quiet")
    return machine


def second(team: Team, folder: Path) -> Machine:
    """Another clone, whose cache is empty."""
    Project(folder).run("git", "clone", "--quiet", str(folder / "origin.git"), "b")
    machine = Machine(project=Project(folder / "b"), team=team, user="ben")
    machine.run("git", "config", "user.name", "Another Tester")
    machine.run("git", "config", "user.email", "another@example.org")
    return machine


@dataclass
class Struck:
    """What faults._server's proxy takes for a server: a part, and what is done to it once."""

    team: Team
    part: str
    restarted: bool
    struck: bool = False

    @property
    def port(self) -> int:
        return self.team.mlflow.port

    def kill(self) -> None:
        if self.struck:
            return
        self.struck = True
        part = getattr(self.team, self.part)
        part.stop(signal.SIGKILL if not self.restarted else None)
        if self.restarted:
            part.start()


def everywhere(team: Team, folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every byte that a run could have left a secret in."""
    for top in (folder, team.folder):
        for path in sorted(top.rglob("*")):
            if path.is_file() and path != team.folder / ".env":
                yield str(path), path.read_bytes()
    for clone in ("a", "b"):
        command = ("git", "cat-file", "--batch-all-objects", "--batch", "--buffer")
        done = subprocess.run(command, cwd=folder / clone, check=True, stdout=subprocess.PIPE)
        yield f"git {clone}", done.stdout
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            yield str(path), path.read_bytes()

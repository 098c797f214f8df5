"""python -m scripts.team: the server of deploy/compose.yaml from packages, in one folder."""

import argparse
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipeline.errors import PipelineError
from scripts.parts import Part, all_or_none, answers, as_user

DEPLOY = Path(__file__).parent.parent / "deploy"
POSTGRES = "/usr/lib/postgresql"


def read(file: Path) -> dict[str, str]:
    """NAME=value a line, as Docker reads it."""
    try:
        lines = [line for line in file.read_text().splitlines() if line and line[0] != "#"]
    except OSError as fault:
        raise PipelineError(f"{file}: {fault.strerror}; `up` writes it, with new secrets") from None
    return dict(line.split("=", 1) for line in lines if "=" in line)


def new_secrets(file: Path, **settings: str) -> None:
    """env.example with its gaps filled, for the owner's eyes only; what is there stays."""
    if file.exists():
        return
    lines = (DEPLOY / "env.example").read_text().splitlines()
    filled = [_filled(line, settings) for line in lines]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    file.write_text("\n".join(filled) + "\n")


def _filled(line: str, settings: Mapping[str, str]) -> str:
    name, equals, value = line.partition("=")
    if line.startswith("#") or not equals:
        return line
    if name in settings:
        return f"{name}={settings[name]}"
    return line if value else f"{name}={secrets.token_hex(16)}"


@dataclass(frozen=True, kw_only=True)
class Team:
    """PostgreSQL, an S3 store and MLflow; `deploy/serve-*` are what Docker runs, too."""

    folder: Path

    @property
    def environ(self) -> dict[str, str]:
        """Of this process only what finds programs and names a home."""
        own = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        return {**own, "PATH": path}

    @property
    def settings(self) -> dict[str, str]:
        return read(self.folder / ".env")

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.settings['MLFLOW_PORT']}"

    @property
    def s3(self) -> str:
        return f"http://127.0.0.1:{self.settings['S3_PORT']}"

    @property
    def database(self) -> dict[str, str]:
        """What libpq reads, so that no address holds the password."""
        names = {"PGHOST": "127.0.0.1", "PGDATABASE": "mlflow", "PGUSER": "mlflow"}
        return {
            **names,
            "PGPORT": self.settings["PGPORT"],
            "PGPASSWORD": self.settings["PGPASSWORD"],
        }

    @property
    def postgres(self) -> Part:
        port = self.settings["PGPORT"]
        options = ("-p", port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=")
        ready = [program("pg_isready"), "--quiet", "--host=127.0.0.1", f"--port={port}"]
        return Part(
            name="postgres",
            folder=self.folder,
            command=(program("postgres"), "-D", str(self.folder / "postgres"), *options),
            environ=self.environ,
            port=int(port),
            ready=lambda: subprocess.run(ready).returncode == 0,
            user=unprivileged(),
            ends_on=signal.SIGINT,
        )

    @property
    def store(self) -> Part:
        port = int(self.settings["S3_PORT"])
        return Part(
            name="s3",
            folder=self.folder,
            command=("sh", str(DEPLOY / "serve-s3")),
            environ={**self.environ, **self.settings, "S3_FOLDER": str(self.folder / "s3")},
            port=port,
            ready=partial(answers, port, "/"),
        )

    @property
    def mlflow(self) -> Part:
        port = int(self.settings["MLFLOW_PORT"])
        places = {"MLFLOW_S3_ENDPOINT_URL": self.s3}
        places["MLFLOW_AUTH_CONFIG_PATH"] = str(DEPLOY / "auth.ini")
        return Part(
            name="mlflow",
            folder=self.folder,
            command=("sh", str(DEPLOY / "serve-mlflow")),
            environ={**self.environ, **self.settings, **self.database, **places},
            port=port,
            ready=partial(answers, port, "/health"),
        )

    @property
    def parts(self) -> tuple[Part, ...]:
        return (self.postgres, self.store, self.mlflow)

    def up(self, **settings: str) -> None:
        """What runs is left alone. Settings count when the folder is new."""
        new_secrets(self.folder / ".env", **settings)
        self._database()
        with all_or_none(self.parts):
            for part in self.parts:
                part.start()

    def down(self) -> None:
        for part in reversed(self.parts):
            part.stop()

    def _database(self) -> None:
        """It appears whole; of one that was cut short nothing is left."""
        data, made = self.folder / "postgres", self.folder / "postgres.new"
        if data.exists():
            return
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(mode=0o700)
        with tempfile.NamedTemporaryFile("w", dir=self.folder) as password:
            print(self.settings["PGPASSWORD"], file=password, flush=True)
            if user := unprivileged():
                shutil.chown(made, user)
                shutil.chown(password.name, user)
            options = ("--username=mlflow", "--auth=scram-sha-256", f"--pwfile={password.name}")
            self._run("initdb", *options, "--encoding=UTF8", "--locale=C.UTF-8", str(made))
        self._run(
            "postgres", "--single", "-D", str(made), "postgres", said="CREATE DATABASE mlflow"
        )
        made.rename(data)

    def _run(self, name: str, *arguments: str, said: str = "") -> None:
        done = subprocess.run(
            (program(name), *arguments),
            env=self.environ,
            cwd="/",
            input=f"{said}\n",
            capture_output=True,
            text=True,
            **as_user(unprivileged()),
        )
        if done.returncode:
            found = " ".join(done.stderr.split())
            raise PipelineError(f"postgres: {name} ended with {done.returncode}: {found}")


def program(name: str) -> str:
    """Debian keeps PostgreSQL's own out of PATH; the newest there is."""
    places = sorted(Path(POSTGRES).glob("*/bin"), key=lambda p: float(p.parent.name), reverse=True)
    path = os.pathsep.join((*map(str, places), os.environ["PATH"]))
    if found := shutil.which(name, path=path):
        return found
    raise PipelineError(
        f"{name}: not installed; `sudo scripts/install_servers` installs PostgreSQL"
    )


def unprivileged() -> str | None:
    """PostgreSQL refuses root; the package has made its user."""
    return "postgres" if os.geteuid() == 0 else None


def main(arguments: list[str]) -> int:
    given = _parser().parse_args(arguments)
    try:
        return _done(given)
    except PipelineError as error:
        print(f"error: team: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.team",
        description="A team's MLflow on PostgreSQL and an S3 store, without Docker.",
        epilog="Settings and secrets lie in FOLDER/.env, data beside it; `down` deletes nothing.",
    )
    actions = parser.add_subparsers(dest="action", required=True)
    for action in ("up", "down", "status"):
        each = actions.add_parser(action)
        each.add_argument("--folder", type=Path, required=True)
    actions.add_parser("secrets").add_argument("file", type=Path)
    return parser


def _done(given: argparse.Namespace) -> int:
    if given.action == "secrets":
        new_secrets(given.file)
        print(f"{given.file}: settings and secrets, for your eyes only")
        return 0
    team = Team(folder=given.folder.resolve())
    if given.action == "up":
        team.up()
    elif given.action == "down":
        team.down()
    return _shown(team, expected=given.action != "down")


def _shown(team: Team, expected: bool) -> int:
    """Exit code 0: all as expected."""
    running = [part.running for part in team.parts]
    for part, alive in zip(team.parts, running, strict=True):
        place = f"running on 127.0.0.1:{part.port}" if alive else "stopped"
        print(f"{part.name:9}{place}")
    if all(running):
        print(f"MLflow:  tracking=server tracking.uri={team.uri}\nDVC:     endpointurl {team.s3}")
        print(f"Logins:  {team.folder / '.env'}")
    return 0 if all(alive == expected for alive in running) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

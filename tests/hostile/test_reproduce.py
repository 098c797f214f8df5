"""A model that is made again does no harm, whatever patch and statement came with it."""

import contextlib
import hashlib
import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline import provenance
from pipeline.reproduce.code import Ground, Repository
from pipeline.reproduce.confined import Runner
from pipeline.sandbox import launcher
from testing.project import PATH, TINY, Project, make_project

FLAG = "--run-foreign-code"
REPRODUCE = ("python", "-m", "pipeline.reproduce")
CONFINED = pytest.mark.skipif(bool(launcher.lacking()), reason="this system cannot confine")


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A clone in which data were prepared. Read it, do not change it."""
    made = make_project(tmp_path_factory.mktemp("hostile") / "project")
    made.params(*TINY)
    made.commit("settings")
    made.stage("prepare")
    return made


def mailed(
    clone: Project,
    directory: Path,
    change: Callable[[Path], object] | None = None,
    edit: Callable[[dict[str, Any]], object] = lambda definition: None,
) -> Path:
    """The data as a stranger mails them: with a patch, and a statement that is sealed anew."""
    shutil.copytree(clone.root / "artifacts/data", directory)
    definition = provenance.read(directory)["predicate"]["buildDefinition"]
    if change:
        work = Project(directory.with_name("work"))
        clone.run("git", "clone", "--quiet", str(clone.root), str(work.root))
        change(work.root)
        work.run("git", "add", "--all")
        patch = work.run("git", "diff", "--cached", "--binary", "--full-index").stdout.encode()
        (directory / "source.patch").write_bytes(patch)
        named = {"source.patch": hashlib.sha256(patch).hexdigest()}
        definition["resolvedDependencies"][0]["annotations"] = named
        for dep in definition["resolvedDependencies"][1:]:
            dep["digest"] = {"sha256": provenance.digest(work.root / dep["name"])}
            dep.pop("annotations", None)
    edit(definition)
    provenance.write(directory, definition)
    return directory


def refused(clone: Project, *given: str) -> str:
    """In one line, and with nothing else said: nothing ran."""
    done = clone.run(*REPRODUCE, *given, check=False)
    assert done.returncode == 2, done.stdout
    (line,) = done.stdout.splitlines()
    assert line.startswith("error: reproduce: ")
    return line


def planted(name: str, text: str) -> Callable[[Path], object]:
    return lambda root: (root / name).write_text(f"{text}\n{(root / name).read_text()}")


def marking(mark: Path) -> str:
    """Code that leaves a trace wherever it can."""
    return f"open({str(mark)!r}, 'a').close()"


def test_a_stranger_s_patch_does_not_run_unasked(clone: Project, tmp_path: Path) -> None:
    mark = tmp_path / "mark"

    def change(root: Path) -> None:
        planted("pipeline/provenance/__init__.py", marking(mark))(root)
        for number in range(9):
            (root / f"a{number}_notes.md").write_text("typo\n")

    model = mailed(clone, tmp_path / "mailed", change)
    line = refused(clone, str(model))
    assert "is not this clone's own code" in line and "pipeline/provenance/__init__.py" in line
    assert line.endswith("confined, with --run-foreign-code")
    assert not mark.exists()


@CONFINED
def test_what_runs_reaches_nothing_of_the_user_s(clone: Project, tmp_path: Path) -> None:
    """It is shown whole, and each of its attempts fails within the stage."""
    sleeping = f"sleep 97.{os.getpid()}"
    mark, git_hook = tmp_path / "mark", "#!/bin/sh\ntouch there\n"
    code = f"""
import os, socket, subprocess
from pathlib import Path
def _try(what):
    try:
        what()
        return "done"
    except (OSError, subprocess.CalledProcessError):
        return "refused"
_log = {{
    "write": _try(lambda: Path({str(mark)!r}).write_text("x")),
    "link": _try(lambda: os.symlink({str(tmp_path)!r}, "linked")),
    "inet": _try(lambda: socket.socket()),
    "unix": _try(lambda: socket.socket(socket.AF_UNIX)),
    "read": _try(lambda: os.listdir({str(tmp_path)!r})),
    "git": _try(lambda: Path(Path(".git").read_text().split()[1], "config").open("a")),
    "shell": _try(lambda: subprocess.run(["/bin/sh", "-c", "echo > {mark}"], check=True)),
    "environ": sorted(os.environ),
}}
import json
Path("log.json").write_text(json.dumps(_log))
Path(".git").unlink()
Path(".git/hooks").mkdir(parents=True)
Path(".git/hooks/post-checkout").write_text({git_hook!r})
Path(".git/config").write_text("[core]\\nfsmonitor = touch {mark}\\n")
subprocess.Popen(["/bin/sh", "-c", "{sleeping}; touch {mark}"])
"""
    model = mailed(clone, tmp_path / "mailed", planted("pipeline/prepare.py", code))
    kept = tmp_path / "kept"
    given = (*REPRODUCE, str(model), FLAG, "--keep", str(kept))
    done = clone.run(*given, check=False, fresh=True, SECRET="told", MLFLOW_TRACKING_TOKEN="told")
    assert "+import os, socket, subprocess" in done.stdout
    assert "It runs confined: writes only to" in done.stdout and "NOT CONFINED: " in done.stdout
    log = json.loads((kept / "clone/log.json").read_text())
    assert {k: v for k, v in log.items() if v == "done"} == {}
    known = {
        "PATH",
        "HOME",
        "TMPDIR",
        "DVC_SYSTEM_CONFIG_DIR",
        "TZ",
        "LANG",
        "LANGUAGE",
        "LC_CTYPE",
    }
    allowed = known | {"GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_GLOBAL", "PWD", "OLDPWD", "SHLVL", "_"}
    assert {name for name in log["environ"] if not name.startswith("LC_")} <= allowed
    assert not mark.exists() and not (kept / "clone/linked").is_symlink()
    assert sleeping not in subprocess.run(["ps", "ax"], capture_output=True, text=True).stdout
    assert (kept / "clone/.git").read_text() == f"gitdir: {kept / 'git'}\n"


def test_it_runs_where_somebody_answers_on_a_terminal(clone: Project, tmp_path: Path) -> None:
    model = mailed(clone, tmp_path / "mailed", planted("pipeline/prepare.py", "# planted"))
    environ = {**os.environ, "PATH": PATH}

    def answered(text: bytes) -> tuple[int, str]:
        main, terminal = pty.openpty()
        os.write(main, text)
        command = [sys.executable, "-m", "pipeline.reproduce", str(model)]
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), terminal)
        said = b""
        with subprocess.Popen(command, cwd=clone.root, env=environ, **streams) as process:
            os.close(terminal)
            with contextlib.suppress(OSError):  # when nobody holds the terminal any more
                while part := os.read(main, 1 << 16):
                    said += part
        os.close(main)
        return process.returncode, said.decode()

    code, said = answered(b"y\n")
    assert code == 2 and "+# planted" in said and "nothing was run" in said
    code, said = answered(b"run it\n")
    assert code == 0 and "bit for bit as recorded" in said


@pytest.mark.parametrize(
    ("commit", "told"),
    [("HEAD", "whole id"), ("main", "whole id"), ("--output=there", "whole id")],
)
def test_only_a_whole_id_is_a_commit(
    clone: Project, tmp_path: Path, commit: str, told: str
) -> None:
    def edit(definition: dict[str, Any]) -> None:
        definition["resolvedDependencies"][0]["digest"] = {"gitCommit": commit}

    assert told in refused(clone, str(mailed(clone, tmp_path / "mailed", edit=edit)))


def test_a_link_in_a_patch_overwrites_nothing(clone: Project, tmp_path: Path) -> None:
    victim = tmp_path / "victim.yaml"
    victim.write_text("mine")

    def change(root: Path) -> None:
        (root / "params.yaml").unlink()
        (root / "params.yaml").symlink_to(victim)

    model = mailed(clone, tmp_path / "mailed", change)
    assert "'params.yaml' is a symlink; expected plain files alone" in refused(
        clone, str(model), FLAG
    )
    assert victim.read_text() == "mine"


def test_parameters_do_not_choose_what_an_older_commit_calls(
    clone: Project, tmp_path: Path
) -> None:
    """Its own check of a _target_ may be a weaker one, or none."""

    def edit(definition: dict[str, Any]) -> None:
        net = {"_target_": "os.system", "command": "true"}
        definition["externalParameters"]["params"]["model"] = {"net": net}

    line = refused(clone, str(mailed(clone, tmp_path / "mailed", edit=edit)))
    assert "have the code call os.system, which its commit's own configuration does not" in line


def test_a_dep_puts_nothing_beside_the_artifact_in_the_place_of_code(
    clone: Project, tmp_path: Path
) -> None:
    """Named as a dep by its digest, a directory that came along would be copied over models/."""
    mark = tmp_path / "mark"
    theirs = clone.copied(tmp_path / "clone")
    other = mailed(clone, theirs.root / "artifacts/planted")
    (other / "params.py").write_text(marking(mark))
    definition = provenance.read(other)["predicate"]["buildDefinition"]
    provenance.write(other, definition)

    def edit(definition: dict[str, Any]) -> None:
        for dep in definition["resolvedDependencies"]:
            if dep["name"] == "pipeline/config":
                dep["digest"] = {"sha256": provenance.digest(other)}
                dep.pop("annotations", None)
        (tmp_path / "mailed/lineage").mkdir()
        shutil.copy(other / provenance.NAME, tmp_path / "mailed/lineage/planted.json")

    model = mailed(clone, tmp_path / "mailed", edit=edit)
    done = theirs.run(*REPRODUCE, str(model), check=False)
    assert "note: pipeline/config: the commit's is not the recorded one" in done.stdout
    assert not mark.exists()


def test_values_are_not_looked_up_in_the_environment(clone: Project, tmp_path: Path) -> None:
    def edit(definition: dict[str, Any]) -> None:
        definition["externalParameters"]["params"]["data"]["name"] = "${oc.env:SECRET}"

    model = mailed(clone, tmp_path / "mailed", edit=edit)
    assert "interpolation in a recorded parameter" in refused(clone, str(model))


@CONFINED
@pytest.mark.parametrize("network", [False, True])
def test_a_command_has_a_network_only_where_it_is_asked_for(tmp_path: Path, network: bool) -> None:
    """Sockets of other kinds, as a container's, stay closed in any case."""
    code = """
import socket
for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, socket.AF_PACKET):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        try:
            socket.socket(family, kind).close()
            print(family.name, kind.name)
        except OSError:
            pass
for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
    try:
        socket.socketpair(socket.AF_UNIX, kind)
        print("pair", kind.name)
    except OSError:
        pass
"""
    project = make_git(tmp_path / "source")
    ground = Ground(scratch=tmp_path / "scratch", source=Repository(top=project, prefix=""))
    ground.clone.mkdir(parents=True)
    runner = Runner(ground=ground, confined=True, network=network)
    done = runner.run([sys.executable, "-c", code], ground.clone)
    pair = ["pair SOCK_STREAM"]
    internet = [f"AF_INET{n} SOCK_{k}" for n in ("", "6") for k in ("STREAM", "DGRAM")]
    assert done.stdout.decode().splitlines() == (internet if network else []) + pair


@CONFINED
def test_modes_owners_and_times_of_the_user_s_files_stay(tmp_path: Path) -> None:
    """Landlock knows nothing of them; copying a file within the clone asks for them, too."""
    victim = tmp_path / "victim"
    victim.write_text("mine")
    before = victim.stat()
    code = f"""
import os, shutil
os.chmod({str(victim)!r}, 0o777); os.utime({str(victim)!r}, (1, 1))
open("a", "w").close(); shutil.copy2("a", "b"); os.rename("b", "c")
for call in (lambda: os.link({str(victim)!r}, "d"), lambda: os.mkfifo("e"), lambda: os.kill(
        {os.getpid()}, 0), lambda: os.mknod("f")):
    try:
        call()
        print("done")
    except OSError:
        pass
"""
    project = make_git(tmp_path / "source")
    ground = Ground(scratch=tmp_path / "scratch", source=Repository(top=project, prefix=""))
    ground.clone.mkdir(parents=True)
    done = Runner(ground=ground, confined=True).run([sys.executable, "-c", code], ground.clone)
    after = victim.stat()
    assert done.returncode == 0 and done.stdout == b"", done.stdout
    assert (before.st_mode, before.st_mtime) == (after.st_mode, after.st_mtime)
    assert sorted(path.name for path in ground.clone.iterdir()) == ["a", "c"]


def make_git(root: Path) -> Path:
    root.mkdir()
    subprocess.run(["git", "init", "--quiet", str(root)], check=True)
    return root


def test_dvc_reads_a_stranger_s_pointers_for_their_digests_alone(
    clone: Project, tmp_path: Path
) -> None:
    """A patch's .dvc/config could name a remote, and a pointer a repository to clone."""
    own = clone.copied(tmp_path / "own")
    own.run("git", "rm", "--quiet", "--cached", "data/digits.csv")
    own.run("dvc", "add", "--quiet", "data/digits.csv")
    own.commit("data is DVC's")
    own.stage("prepare")
    (own.root / "data/digits.csv").unlink()

    def change(root: Path) -> None:
        pointer = root / "data/digits.csv.dvc"
        repo = f"deps:\n- path: x\n  repo:\n    url: 'ext::sh -c touch% {tmp_path}/mark'\n"
        pointer.write_text(pointer.read_text() + repo)
        (root / ".dvc/config").write_text("[core]\n    remote = theirs\n[cache]\n    dir = /x\n")

    def edit(definition: dict[str, Any]) -> None:
        recorded = provenance.read(own.root / "artifacts/data")["predicate"]["buildDefinition"]
        definition["resolvedDependencies"][1:] = recorded["resolvedDependencies"][1:]

    model = mailed(own, tmp_path / "mailed", change, edit)
    done = own.run(*REPRODUCE, str(model), FLAG, check=False)
    assert done.returncode == 0 and "data: from DVC, by its digest" in done.stdout, done.stdout
    assert not (tmp_path / "mark").exists()

"""A job works in a clone of the repository with DVC's cache of it, and its run comes back as an
experiment of DVC's.

The clone lies on the same disk and shares git's objects and DVC's cache; DVC links or copies files
out of the cache as `cache.type` says. It stays where a job was killed, which goes on in it.
"""

import configparser
import fcntl
import shutil
import time
from pathlib import Path

from pipeline.errors import CannotRun
from pipeline.provenance import git
from pipeline.resolve import dvc as resolve_dvc
from pipeline.run import lock
from pipeline.sweep.plan import AUTHOR, WRITTEN, Source

WHOLE = "whole"
"""The file in a clone's .git that says that all of it is here which git has."""
LACKS = Path(".git/lacks")
"""And the one that says that nothing has come out of DVC's cache yet."""


def make(source: Source, folder: Path) -> None:
    """Makes the clone, with the files as they lay when the sweep began; one that is whole stays."""
    if (folder / ".git" / WHOLE).exists():
        _wait_for_writers(folder)
        # A DVC that was killed may have left it half written; no other works in this clone.
        (folder / ".dvc" / "tmp" / "rwlock").unlink(missing_ok=True)
        return
    shutil.rmtree(folder, ignore_errors=True)
    _git(source.root, "clone", "--quiet", "--shared", "--no-checkout", ".", str(folder))
    _git(folder, "update-ref", "--no-deref", "HEAD", source.head)
    _git(folder, "read-tree", "-u", "--reset", source.tree)
    _configure(source.root, folder)
    if (folder / resolve_dvc.LOCK).exists() or git.line(folder, "ls-files", "*.dvc"):
        (folder / LACKS).touch()
    (folder / ".git" / WHOLE).touch()


def _wait_for_writers(folder: Path) -> None:
    """Waits for DVC and stages that were begun in a clone by who was killed, and are ending."""
    lock.wait_for_turn(folder)
    for path in folder.glob("*/.*.lock"):
        with path.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)


def _configure(root: Path, folder: Path) -> None:
    """Gives the clone what git does not bring: the user's name, DVC's own settings, remotes by
    paths that lead there from the clone too, and the cache.

    DVC's notes on files lie in the clone, and go with it.
    """
    for key in ("user.name", "user.email"):
        if value := git.line(root, "config", key):
            _git(folder, "config", key, value)
    settings = configparser.ConfigParser(interpolation=None, strict=False)
    settings.read(root / ".dvc" / "config.local")
    settings.read_string(resolve_dvc.remotes(root))
    cache = resolve_dvc.cache(root).parent.parent.resolve()
    notes = folder.resolve() / ".dvc" / "tmp" / "site"
    for section, option, path in (("cache", "dir", cache), ("core", "site_cache_dir", notes)):
        if not settings.has_section(section):
            settings.add_section(section)
        settings.set(section, option, str(path))
    with (folder / ".dvc" / "config.local").open("w") as file:
        settings.write(file)


def bring_back(source: Source, folder: Path, name: str) -> None:
    """Puts the run into the user's repository as an experiment, and removes the clone.

    An experiment of DVC's is a commit on its baseline, with a ref that says both.
    """
    _git(folder, "add", "--update")
    _git(folder, "add", "--", *(each for each in WRITTEN if (folder / each).exists()))
    tree = git.run(folder, "write-tree").text
    about = ("-p", source.head, "-m", f"dvc: commit experiment {name}")
    own = AUTHOR if git.line(folder, "config", "user.email") is None else {}
    made = git.run(folder, "commit-tree", tree, *about, environ=own)
    ref = f"refs/exps/{source.head[:2]}/{source.head[2:]}/{name}"
    _git(folder, "push", "--quiet", str(source.root), f"+{made.text}:{ref}")
    remove(folder)


def remove(folder: Path) -> None:
    """Removes the clone; what a stage that is ending writes there meanwhile goes too."""
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.1 if folder.exists() else 0)


def _git(folder: Path, *arguments: str) -> None:
    answer = git.run(folder, *arguments, offline=False)
    if answer.status:
        raise CannotRun(f"{folder}: git {arguments[0]}: {answer.last_error}")

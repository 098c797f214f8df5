"""`python -m pipeline.fetch <what> <directory>`: an artifact's files, whatever names it.

An MLflow run that was logged by reference gives the command, with the md5 that DVC has it under.
Exit code 0: the directory is there, and is what its statement says; 1: it is not; 2: neither DVC's
cache nor its remote has it.
"""

import argparse
import contextlib
import shutil
import sys
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

from pipeline import provenance
from pipeline.errors import IncompleteArtifact, PipelineError
from pipeline.files import translate_os_errors
from pipeline.project import repository
from pipeline.resolve import ACCEPTED, dvc, locked, mlflow, resolve
from pipeline.text import escaped


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.fetch",
        description="A complete model, or another artifact, from where its files are: here, in "
        "MLflow's store, in DVC's cache or in its remote.",
    )
    parser.add_argument("what", help=f"the md5 that a run's tag dvc.md5 has, or {ACCEPTED}")
    parser.add_argument("directory", type=Path, help="which does not exist yet")
    options = parser.parse_args(arguments)
    try:
        files = _files(options.what, repository())
        if files is None:
            return 2
        _copy(files, options.directory)
    except PipelineError as error:
        print(f"error: fetch: {escaped(str(error))}", file=sys.stderr)
        return 1
    digest = provenance.digest(options.directory)
    print(f"{escaped(str(options.directory))}: {len(files)} files, sha256 {digest}")
    return 0


def _files(what: str, root: Path) -> Mapping[str, Path] | None:
    """Returns the files of what is named, by their names in it; None where nobody has them, which
    is said. Raises PipelineError for a name that leads nowhere."""
    if md5 := _md5(what, root):
        return _from_dvc(root, md5)
    resolved = resolve(what, root)
    digest = resolved.node.digest
    if place := resolved.places.get(digest):
        return {name: place / name for name in [*provenance.files(place), provenance.NAME]}
    files = resolved.cached.get(digest, {})
    if files and all(path.is_file() for path in files.values()):
        return files
    _print_missing(f"{what}: the {resolved.node.stage} {digest[:16]}: not all of it is here", None)
    return None


def _md5(what: str, root: Path) -> str | None:
    """Returns the md5 that DVC has an artifact under: given as such, in the dvc.lock of a revision
    or an experiment, or in a run's tag. A run's id looks like an md5; what is in the cache is
    none."""
    name = f"{what.removesuffix('.dir')}.dir"
    if dvc.MD5.fullmatch(name) is None:
        named = None if Path(what).exists() else locked(what, root)
        return named[2] if named else None
    if what.endswith(".dir") or dvc.listing(root, name):
        return name
    with contextlib.suppress(PipelineError):  # without MLflow's store it is still an md5
        if logged := mlflow.store(root).run(what):
            return logged.md5
    return name


def _from_dvc(root: Path, md5: str) -> dict[str, Path] | None:
    """Returns the files of the directory with this md5, in DVC's cache by then."""
    reason = None if _at_hand(root, md5) else pulled(root, [md5])
    if files := _at_hand(root, md5):
        return files
    _print_missing(f"{md5}: not in DVC's cache", reason)
    return None


def _print_missing(what: str, reason: str | None) -> None:
    print(
        f"error: fetch: {escaped(what)}{f', and {reason}' if reason else ''}; ask "
        "whoever logged it for `dvc push`, and look at `dvc remote list` here",
        file=sys.stderr,
    )


def _at_hand(root: Path, md5: str) -> dict[str, Path] | None:
    files = dvc.listing(root, md5)
    return files if files and all(place.is_file() for place in files.values()) else None


def pulled(root: Path, md5s: Collection[str]) -> str | None:
    """Has DVC bring these objects from its remote into its cache; returns what failed. DVC takes a
    directory for whole when it has the list, so the files are asked for by name."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc_data.hashfile.hash_info import HashInfo

    try:
        with Repo(str(root)) as repo:
            failed = repo.cloud.pull({HashInfo("md5", md5) for md5 in md5s}).failed
            listings = [listed.values() for md5 in md5s if (listed := dvc.listing(root, md5))]
            below = {dvc.name_of(stored) for files in listings for stored in files}
            failed |= repo.cloud.pull({HashInfo("md5", md5) for md5 in below}).failed
    except DvcException as fault:
        return " ".join(str(fault).split())[:300]
    return f"the DVC remote lacks {len(failed)} objects" if failed else None


def _copy(files: Mapping[str, Path], directory: Path) -> None:
    """Copies the files so that the directory appears whole, and only if each is what the statement
    says."""
    if directory.exists():
        raise PipelineError(f"{directory}: is there already; give a directory that is not")
    with translate_os_errors(directory):
        directory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory.parent) as scratch:
            copy = Path(scratch) / directory.name
            for name, place in files.items():
                if not (copy / name).resolve().is_relative_to(copy.resolve()):
                    raise IncompleteArtifact(f"{name}: leads out of its directory; do not fetch it")
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(place, copy / name)
            if faults := provenance.faults(copy):
                raise IncompleteArtifact(
                    f"{directory}: {faults[0]}; remove that object from DVC's cache, then fetch "
                    "it again"
                )
            copy.replace(directory)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""`python -m pipeline.fetch <md5> <directory>`: what DVC has under this name of its bytes.

An MLflow run that was logged by reference gives the command. Exit code 0: the directory is there,
and is what its statement says; 1: it is not; 2: neither DVC's cache nor its remote has it.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path

from pipeline import provenance
from pipeline.errors import IncompleteArtifact, PipelineError
from pipeline.files import translate_os_errors
from pipeline.project import repository
from pipeline.resolve import dvc
from pipeline.text import escaped


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.fetch",
        description="A complete model, or another artifact, from DVC's cache or its remote.",
    )
    parser.add_argument("md5", help="as the MLflow run's tag dvc.md5 has it")
    parser.add_argument("directory", type=Path, help="which does not exist yet")
    options = parser.parse_args(arguments)
    try:
        files = _listed(repository(), f"{options.md5.removesuffix('.dir')}.dir")
        if files is None:
            return 2
        _copy(files, options.directory)
    except PipelineError as error:
        print(f"error: fetch: {error}", file=sys.stderr)
        return 1
    digest = provenance.digest(options.directory)
    print(f"{escaped(str(options.directory))}: {len(files)} files, sha256 {digest}")
    return 0


def _listed(root: Path, md5: str) -> dict[str, Path] | None:
    if dvc.MD5.fullmatch(md5) is None:
        raise PipelineError(f"{escaped(md5)}: expected 32 digits as in a run's tag dvc.md5")
    reason = None if _at_hand(root, md5) else pulled(root, [md5])
    if files := _at_hand(root, md5):
        return files
    print(
        f"error: fetch: {md5}: not in DVC's cache{f', and {reason}' if reason else ''}; ask "
        "whoever logged it for `dvc push`, and look at `dvc remote list` here",
        file=sys.stderr,
    )
    return None


def _at_hand(root: Path, md5: str) -> dict[str, Path] | None:
    files = dvc.listing(root, md5)
    return files if files and all(place.is_file() for place in files.values()) else None


def pulled(root: Path, md5s: Collection[str]) -> str | None:
    """DVC brings these objects from its remote into its cache. Returns what failed.

    It takes a directory for whole when it has the list, so the files are asked for by name.
    """
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


def _copy(files: dict[str, Path], directory: Path) -> None:
    """The directory appears whole, and only if every file is what the statement says."""
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

"""Run alone, `python -I record.py REPOSITORY`: the reports of runs that were logged again take the
place of those that name runs which are gone.

stdin is JSON: `uri`, the tracking.uri that they were logged to, and `reports`, from the md5 of a
complete model to the content of its reports/mlflow.json. An entry of DVC's run cache that would
restore an old report gets one beside it, later than it, with the new; the work tree's report is
written and committed to dvc.lock where nothing else of the stage has changed.
"""

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dvc.repo import Repo

STAGE = "log-to-mlflow"
MODULE = b"pipeline.log_to_mlflow"


def main(root: str) -> int:
    """Prints a line when the work tree's report was written. Returns 1, with the reason on stdout,
    when DVC is busy or refuses."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo, lock_repo

    request = json.load(sys.stdin)
    try:
        with Repo(root) as repo, lock_repo(repo):
            for folder, entry in _run_cache(repo):
                if content := _report(entry, request):
                    _add(repo, folder, entry, content.encode())
            _work_tree(repo, request)
    except DvcException as fault:
        print(" ".join(str(fault).split())[:300])
        return 1
    return 0


def _run_cache(repo: "Repo") -> Iterator[tuple[Path, dict[str, Any]]]:
    """Gives each set of deps and params: its folder, and the entry that a stage with them gets."""
    from dvc.utils.serialize import load_yaml

    for folder in sorted(Path(repo.stage_cache.cache_dir).glob("??/*")):
        latest = max(folder.glob("[0-9a-f]" * 64), key=lambda p: p.stat().st_mtime, default=None)
        if latest and MODULE in latest.read_bytes():
            yield folder, load_yaml(str(latest))


def _report(entry: Mapping[str, Any], request: Mapping[str, Any]) -> str | None:
    """Returns the new report for an entry, if it has another and was logged to the same store."""
    params = entry.get("params", {}).get("params.yaml", {})
    if params.get("tracking", {}).get("uri") != request["uri"]:
        return None
    reports = request["reports"]
    content = next((reports[d["md5"]] for d in entry["deps"] if d.get("md5") in reports), None)
    same = content and entry["outs"][0]["md5"] == hashlib.md5(content.encode()).hexdigest()
    return None if same else content


def _add(repo: "Repo", folder: Path, entry: Mapping[str, Any], content: bytes) -> None:
    """Does what DVC does after a stage has run, in StageCache.save; the latest entry is what it
    takes."""
    from dvc.utils import dict_sha256
    from dvc.utils.serialize import dump_yaml

    md5 = hashlib.md5(content).hexdigest()
    repo.cache.local.add_bytes(md5, content)
    repo.cache.local.protect(repo.cache.local.oid_to_path(md5))
    new = {**entry, "outs": [{**entry["outs"][0], "md5": md5, "size": len(content)}]}
    partial = folder / "relog.partial"
    dump_yaml(str(partial), new)
    partial.replace(folder / dict_sha256(new, exclude=["size", "nfiles"]))


def _work_tree(repo: "Repo", request: Mapping[str, Any]) -> None:
    from dvc.stage.serialize import to_single_stage_lockfile

    stage = repo.stage.load_one(name=STAGE)
    report = stage.outs[0]
    content = _report(to_single_stage_lockfile(stage), request) if report.hash_info else None
    if content is None:
        return
    if stage.changed_deps() or stage.changed_stage():
        print(f"{report.def_path}: names a run that is gone; `dvc repro` writes it anew")
        return
    path = Path(report.fs_path)
    path.parent.mkdir(exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(content)
    partial.replace(path)
    repo.commit(STAGE, force=True)
    print(f"{report.def_path} and dvc.lock name the new run; commit dvc.lock")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

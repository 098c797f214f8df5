"""Run alone, `python -I pull.py SOURCE CLONE TARGET ...`: DVC brings the targets into CLONE
from SOURCE's cache, or from its remote.

Nothing is written in SOURCE: its cache is read as if it were a remote.
"""

import sys
from pathlib import Path

OWN = "the-cache-of-the-repository"


def main(source: str, clone: str, *targets: str) -> int:
    """Returns 0 when every target came; else prints the reasons, a line each."""
    from dvc.config import Config
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    theirs = Config(dvc_dir=str(Path(source) / ".dvc"))
    cache = theirs["cache"].get("dir") or str(Path(source) / ".dvc/cache")
    remotes = {name: {"url": entry["url"]} | entry for name, entry in theirs["remote"].items()}
    remotes[OWN] = {"url": str(cache)}
    default = theirs["core"].get("remote")
    with Repo(clone, config={"remote": remotes, "cache": {"dir": f"{clone}/.dvc/cache"}}) as repo:
        for name, shown in ((OWN, f"DVC's cache {cache}"), (default, f"the DVC remote {default}")):
            if name is None:
                print("no default DVC remote is configured")
                continue
            try:
                repo.pull(targets=list(targets), remote=name, force=True)
                return 0
            except DvcException as fault:
                print(f"not in {shown}: {' '.join(str(fault).split())[:300]}")
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

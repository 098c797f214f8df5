"""DVC in a clone, in the place of `run.dvc`: it first takes out of its cache what the clone lacks.

A process of its own for that would cost a second start of DVC's in each job.
"""

import logging
import sys

from pipeline.run import children, dvc
from pipeline.sweep.clone import LACKS


def main(words: list[str]) -> int:
    """Returns DVC's exit code. A clone that is gone on with has what it needs, and more: what was
    checked out again would take the place of a training that is half done."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    if LACKS.exists():
        logging.disable(logging.WARNING)  # it warns of each stage that was never run
        try:
            with Repo() as repo:
                repo.checkout(force=True, allow_missing=True)
        except DvcException as fault:
            print(f"error: dvc checkout: {' '.join(str(fault).split())}", file=sys.stderr)
            return 1
        logging.disable(logging.NOTSET)
        LACKS.unlink()
    return dvc.main(words)


if __name__ == "__main__":
    children.end_with_parent()
    sys.exit(main(sys.argv[1:]))

"""A worker decodes what it is asked for, until nobody asks: `python -c` of `workers.py` starts it.

It reads pickles of its own parent's alone. Where the parent is gone, however that ended, there is
nothing left to read, and it ends.
"""

import pickle
import sys

from pipeline.data.media.column import decoded


def main() -> None:
    """Answers each mapping of names by source with its arrays; the columns come first."""
    asked, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # what a library prints is no answer
    try:
        columns = pickle.load(asked)
        while True:
            pickle.dump(decoded(columns, pickle.load(asked)), answers, pickle.HIGHEST_PROTOCOL)
            answers.flush()
    except (EOFError, BrokenPipeError):
        pass

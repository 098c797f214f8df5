"""A job's program: `python -m pipeline` in a clone, whose stages are run by `dvc_in_clone`."""

import sys

from pipeline.__main__ import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], dvc="pipeline.sweep.dvc_in_clone"))

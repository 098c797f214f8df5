"""`python -m pipeline.diff`."""

import sys

from pipeline.diff import main

sys.exit(main(sys.argv[1:]))

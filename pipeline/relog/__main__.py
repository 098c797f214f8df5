"""`python -m pipeline.relog`."""

import sys

from pipeline.relog import main

sys.exit(main(sys.argv[1:]))

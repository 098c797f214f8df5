"""`python -m pipeline.trace`."""

import sys

from pipeline.trace import main

sys.exit(main(sys.argv[1:]))

"""`python -m pipeline.examine`."""

import sys

from pipeline.examine import main

sys.exit(main(sys.argv[1:]))

"""`python -m pipeline.reproduce`."""

import sys

from pipeline.reproduce import main

sys.exit(main(sys.argv[1:]))

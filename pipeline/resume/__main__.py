"""Runs the command."""

import sys

from pipeline.resume import main

sys.exit(main(sys.argv[1:]))

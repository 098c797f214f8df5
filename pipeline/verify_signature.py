"""`python -m pipeline.verify_signature <directory> --trusted-key public.pem`: who signed this?

Reads bytes and parses no file of the directory. Exit code 0: one of the trusted keys signed every
file as it lies; 1: not, and one line says why.
"""

import argparse
import sys
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.text import escaped
from pipeline.untrusted import signatures


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.verify_signature",
        description="Whether every file of a directory is as a key that you trust signed it.",
    )
    parser.add_argument("directory", type=Path)
    parser.add_argument("--trusted-key", type=Path, action="append", required=True, metavar="PUB")
    parser.add_argument("--signature", type=Path, help="default: <directory>.sig")
    options = parser.parse_args(arguments)
    try:
        digest = signatures.demand(options.directory, options.trusted_key, options.signature)
    except PipelineError as error:
        print(f"error: verify-signature: {escaped(str(error))}", file=sys.stderr)
        return 1
    print(f"{escaped(str(options.directory))}: every file is as the key {digest} signed it")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

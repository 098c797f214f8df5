"""`python -m pipeline.sign artifacts/complete-model --key private.pem`: sign every file of it.

The signature lies beside the directory. Exit code 0: signed; 1: not, and one line says why.
"""

import argparse
import sys
from pathlib import Path

from pipeline import provenance
from pipeline.errors import IncompleteArtifact, ParamsError, PipelineError
from pipeline.provenance import git
from pipeline.untrusted import signatures

KEYS = "~/keys/"
"""Where a private key is kept, outside of every repository."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.sign",
        description="Sign a complete model, or any other artifact, with your own key, offline.",
        epilog="a key, outside of the repository: mkdir -p ~/keys; "
        "openssl ecparam -name prime256v1 -genkey -noout -out ~/keys/private.pem; "
        "openssl ec -in ~/keys/private.pem -pubout -out public.pem",
    )
    parser.add_argument("directory", type=Path)
    parser.add_argument("--key", type=Path, required=True, help="private, in PEM: P-256 or P-384")
    parser.add_argument("--signature", type=Path, help="default: <directory>.sig")
    options = parser.parse_args(arguments)
    signature = options.signature or signatures.beside(options.directory)
    try:
        if faults := provenance.faults(options.directory):
            raise IncompleteArtifact(f"{faults[0]}; only a complete artifact is signed")
        demand_unpublished(options.key)
        digest = signatures.sign(options.directory, options.key, signature)
    except PipelineError as error:
        print(f"error: sign: {error}", file=sys.stderr)
        return 1
    print(f"{signature}: signed with the key {digest}")
    return 0


def demand_unpublished(key: Path) -> None:
    """Raises ParamsError where `git add --all` would publish the private key, or has."""
    folder, name = key.resolve().parent, key.resolve().name
    in_clone = any((above / ".git").exists() for above in (folder, *folder.parents))
    if not in_clone or not key.is_file():
        return
    if git.line(folder, "ls-files", "--", name):
        raise ParamsError(
            f"{key}: git tracks this private key: whoever has the repository can sign as you; "
            f"make a new one in {KEYS}, outside of the repository, and trust this one no longer"
        )
    if git.output(folder, "check-ignore", "--quiet", "--", name) is None:
        raise ParamsError(
            f"{key}: found in a repository that does not ignore it: `git add --all` would publish "
            f"this private key; keep it outside: mkdir -p {KEYS} && mv {key} {KEYS}"
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

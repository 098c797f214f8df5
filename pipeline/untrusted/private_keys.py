"""A private key that lies in a repository is published with it, unless git ignores it."""

from pathlib import Path

from pipeline.errors import ParamsError
from pipeline.provenance import git

PLACE = "~/keys/"


def demand_unpublished(key: Path) -> None:
    """Raises ParamsError where `git add --all` would publish the private key, or has."""
    folder, name = key.resolve().parent, key.resolve().name
    in_clone = any((above / ".git").exists() for above in (folder, *folder.parents))
    if not in_clone or not key.is_file():
        return
    if git.line(folder, "ls-files", "--", name):
        raise ParamsError(
            f"{key}: git tracks this private key: whoever has the repository can sign as you; "
            f"make a new one in {PLACE}, outside of the repository, and trust this one no longer"
        )
    if git.output(folder, "check-ignore", "--quiet", "--", name) is None:
        raise ParamsError(
            f"{key}: found in a repository that does not ignore it: `git add --all` would publish "
            f"this private key; keep it outside: mkdir -p {PLACE} && mv {key} {PLACE}"
        )

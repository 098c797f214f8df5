"""What a statement says of its raw data, and of a checkpoint that was trained elsewhere."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from pipeline import provenance
from pipeline.provenance.lineage import Node
from pipeline.trace.claims import SHORT, Case, Check, listed
from pipeline.trace.code import Source
from pipeline.trace.source import deps_of_data, deps_of_kind


def data(node: Node, source: Source, case: Case) -> Iterator[Check]:
    """Checks raw data by digest: in the work tree, else at the commit and in DVC's cache.

    Other data in the work tree is no contradiction: it is not what the artifact was made from. What
    was streamed is known by the .dvc file that names it, whether or not it has come here since.
    """
    for path, digest in deps_of_data(node).items():
        short = f"{path}/" if (case.root / path).is_dir() else path
        short += f" ({digest[:SHORT]})"
        streamed = node.streamed(path)
        if digest in _here(case.root / path, streamed, case):
            text = f"{short} in the work tree has exactly the recorded content"
            text, todo = _with_streamed(text, path, streamed)
            yield Check(claim="raw data", verdict="verified", text=text, todo=todo)
        elif digest in (source.digest(path), _at_commit(path, streamed, source)):
            text = (
                f"{short} is at commit {(source.commit or '')[:SHORT]}; the work tree has another"
            )
            text, _ = _with_streamed(text, path, streamed)
            todo = f"`git checkout {(source.commit or '')[:SHORT]} -- {path}`, then `dvc checkout`"
            yield Check(claim="raw data", verdict="verified", text=text, todo=todo)
        else:
            text = f"{path} with the digest {digest} is not at hand"
            text += "; the work tree has other data" if (case.root / path).exists() else ""
            todo = "`dvc pull` what git has as .dvc, or get the data from where it came"
            if source.exists:
                todo = f"`git checkout {source.commit} -- {path}`, then `dvc pull`"
            yield Check(claim="raw data", verdict="missing", text=text, todo=todo)


def _here(directory: Path, streamed: Sequence[str], case: Case) -> Iterator[str | None]:
    """Yields the digest of the data in the work tree, and that without what was streamed."""
    yield case.digest(directory)
    if streamed and directory.is_dir():
        names = provenance.files(directory)
        yield _without(streamed, names, lambda name: provenance.digest(directory / name))


def _at_commit(path: str, streamed: Sequence[str], source: Source) -> str | None:
    """Returns the digest of the data that git has, without what was streamed."""
    files = {n.removeprefix(f"{path}/"): d for n, d in source.files.items() if n.startswith(path)}
    return _without(streamed, files, files.__getitem__) if streamed else None


def _without(streamed: Sequence[str], names: Iterable[str], digest: Callable[[str], str]) -> str:
    """Returns the digest of a directory as it is without the folders of these .dvc files."""
    folders = tuple(f"{each.removesuffix('.dvc')}/" for each in streamed)
    there = sorted(name for name in names if not name.startswith(folders))
    return provenance.folded({name: digest(name) for name in provenance.counted(there)})


def _with_streamed(text: str, path: str, streamed: Sequence[str]) -> tuple[str, str | None]:
    """Returns the text, and what to do, of data some of which was read from DVC's remote."""
    if not streamed:
        return text, None
    folders = [f"{path}/{each.removesuffix('.dvc')}" for each in streamed]
    said = f"{text}; {listed(folders)} was read from DVC's remote, where it was not looked at now"
    return said, f"`dvc pull {' '.join(folders)}`, to have it here"


def elsewhere(node: Node, case: Case) -> Iterator[Check]:
    """Checks the checkpoint that training started from: a root, of whose making nothing is
    recorded."""
    origin = node.elsewhere
    for path, digest in deps_of_kind(node, "checkpoint").items():
        same = case.digest(case.root / path) == digest
        if path.endswith(".json"):
            if not same:
                text = f"{path}, what was known of the checkpoint, is not at hand as it was"
                todo = f"`git checkout {path}`, if git has it"
                yield Check(claim="checkpoint", verdict="missing", text=text, todo=todo)
            continue
        known = origin.get("known", {})
        text = f"{path}, {known.get('name')} ({known.get('kind')}), trained elsewhere: its "
        text += f"{', '.join(map(str, origin.get('unknown', ())))} are not known; "
        if same:
            text += "the recorded bytes are at hand"
            yield Check(claim="checkpoint", verdict="verified", text=text)
        else:
            text += "it is not at hand as it was"
            todo = f"`dvc pull {path}.dvc`"
            yield Check(claim="checkpoint", verdict="missing", text=text, todo=todo)

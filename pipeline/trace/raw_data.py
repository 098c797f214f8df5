"""What a statement says of its raw data, and of a checkpoint that was trained elsewhere."""

from collections.abc import Iterator

from pipeline.provenance.lineage import Node
from pipeline.trace.claims import SHORT, Case, Check
from pipeline.trace.code import Source
from pipeline.trace.source import deps_of_data, deps_of_kind


def data(node: Node, source: Source, case: Case) -> Iterator[Check]:
    """Checks raw data by digest: in the work tree, else at the commit and in DVC's cache.

    Other data in the work tree is no contradiction: it is not what the artifact was made from.
    """
    for path, digest in deps_of_data(node).items():
        short = f"{path}/" if (case.root / path).is_dir() else path
        short += f" ({digest[:SHORT]})"
        if case.digest(case.root / path) == digest:
            text = f"{short} in the work tree has exactly the recorded content"
            yield Check(claim="raw data", verdict="verified", text=text)
        elif source.digest(path) == digest:
            text = (
                f"{short} is at commit {(source.commit or '')[:SHORT]}; the work tree has another"
            )
            todo = f"`git checkout {(source.commit or '')[:SHORT]} -- {path}`, then `dvc checkout`"
            yield Check(claim="raw data", verdict="verified", text=text, todo=todo)
        else:
            text = f"{path} with the digest {digest} is not at hand"
            text += "; the work tree has other data" if (case.root / path).exists() else ""
            todo = "`dvc pull` what git has as .dvc, or get the data from where it came"
            if source.exists:
                todo = f"`git checkout {source.commit} -- {path}`, then `dvc pull`"
            yield Check(claim="raw data", verdict="missing", text=text, todo=todo)


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

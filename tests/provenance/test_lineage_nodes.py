"""A complete model alone tells all that it was made from."""

from pipeline import provenance
from pipeline.provenance import lineage
from testing.project import Project


def test_every_artifact_carries_the_statements_upstream(trained: Project) -> None:
    artifacts = trained.root / "artifacts"
    found = lineage.nodes(artifacts / "complete-model")
    assert [node.stage for node in found.values()] == [
        "export-complete",
        *("checkpoint", "prepare", "train"),
    ]
    for name in ("complete-model", "checkpoint", "train", "data"):
        assert provenance.digest(artifacts / name) in found
    first = next(iter(found.values()))
    (link,) = lineage.upstream(first, found)
    assert link[0] == "artifacts/checkpoint"
    further = dict(lineage.upstream(link[1], found))
    assert {path: node.stage for path, node in further.items()} == {
        "artifacts/data": "prepare",
        "artifacts/train": "train",
    }


def test_a_node_tells_what_its_statement_says(trained: Project) -> None:
    node = lineage.node(trained.root / "artifacts/train" / provenance.NAME)
    assert node.commit == trained.run("git", "rev-parse", "HEAD").stdout.strip()
    assert node.params["train"]["epochs"] == 2 and node.environment["packages"]["torch"]
    assert node.deps["artifacts/data"] == provenance.digest(trained.root / "artifacts/data")
    assert "history.csv" in node.subject and "lineage/prepare.json" in node.subject
    assert node.patch == provenance_patch(trained)


def provenance_patch(project: Project) -> str | None:
    """params.yaml alone was changed, which is no code."""
    patch = project.root / "artifacts/train" / provenance.PATCH
    return provenance.digest(patch) if patch.is_file() else None

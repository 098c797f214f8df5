"""One walk of the lineage: each artifact before those that it was made from."""

import ast

import pytest

from pipeline import provenance
from pipeline.provenance.lineage import Node, dep_kind, walk
from pipeline.reproduce import inputs, run


def node(digest: str, **deps: str) -> Node:
    named = [
        {"name": name.replace("__", "/"), "digest": {"sha256": sha256}}
        for name, sha256 in deps.items()
    ]
    return Node(
        digest=digest,
        statement={"predicate": {"buildDefinition": {"resolvedDependencies": named}}},
    )


NODES = {
    each.digest: each
    for each in (
        node("data"),
        node("old train", artifacts__data="data"),
        node("old model", artifacts__train="old train"),
        node("train", artifacts__data="data", parents__old="old model", models="code"),
        node("checkpoint", artifacts__data="data", artifacts__train="train"),
        node("model", artifacts__checkpoint="checkpoint"),
    )
}


def test_each_node_stands_before_all_that_it_was_made_from():
    order = [each.digest for each in walk(NODES["model"], NODES)]
    assert order == ["model", "checkpoint", "train", "old model", "old train", "data"]


def test_the_own_line_leaves_out_what_was_trained_on_from():
    order = [each.digest for each in walk(NODES["model"], NODES, parents=False)]
    assert order == ["model", "checkpoint", "train", "data"]


def test_what_is_not_known_is_passed_over():
    known = {name: each for name, each in NODES.items() if name != "train"}
    assert [each.digest for each in walk(NODES["model"], known)] == ["model", "checkpoint", "data"]


def test_a_line_of_thousands_of_parents_is_walked_to_its_end():
    known = {"0": node("0")}
    for number in range(1, 3000):
        known[str(number)] = node(str(number), parents__before=str(number - 1))
    assert len(walk(known["2999"], known)) == 3000


@pytest.mark.parametrize(
    ("dep", "kind"),
    [
        *(("artifacts/train", "artifact"), ("parents/ab", "parent"), ("data", "data")),
        *(("pipeline/train.py", "code"), ("models", "code"), ("data/digits.csv", "data")),
        *(("docs/x.md", "data"), ("", "code")),
    ],
)
def test_a_dep_is_an_artifact_a_parent_data_or_code(dep, kind):
    assert dep_kind(dep) == kind


def test_what_reproduce_runs_in_clones_is_imported_from_the_package():
    """Older commits run these names in newer clones, and newer ones in older."""
    imports = [
        (statement.module, alias.name)
        for script in (inputs.DIGEST, run.ENVIRONMENT)
        for statement in ast.walk(ast.parse(script))
        if isinstance(statement, ast.ImportFrom) and statement.module != "pathlib"
        for alias in statement.names
    ]
    package = "pipeline.provenance"
    assert sorted(imports) == [(package, "digest"), (package, "environment")]
    assert {"digest", "environment"} <= set(provenance.__all__)

"""What a statement says of itself becomes no path, no program and no setting."""

import hashlib
import json
from typing import Any

import pytest

from pipeline.errors import CannotRun
from pipeline.provenance.lineage import Node
from pipeline.reproduce.claims import demand_plain

DIGEST, COMMIT = "ab" * 32, "cd" * 20


def node(**changed: Any) -> Node:
    values = {
        "stage": "train",
        "commit": COMMIT,
        "patch": DIGEST,
        "python": "3.11.7",
        "params": {"train": {"lr": 0.1}},
        "deps": {"data": DIGEST, "artifacts/data": DIGEST},
        **changed,
    }
    code = {
        "name": "git",
        "digest": {"gitCommit": values["commit"]},
        "annotations": {"source.patch": values["patch"]},
    }
    deps = [{"name": n, "digest": {"sha256": d}} for n, d in values["deps"].items()]
    definition = {
        "externalParameters": {"stage": values["stage"], "params": values["params"]},
        "internalParameters": {"python": values["python"], "platform": "x", "packages": {}},
        "resolvedDependencies": [code, *deps],
    }
    statement = {"subject": [], "predicate": {"buildDefinition": definition}}
    digest = hashlib.sha256(json.dumps(statement).encode()).hexdigest()
    return Node(digest=digest, statement=statement)


def test_what_the_stages_write_is_plain() -> None:
    demand_plain([node(), node(commit="ef" * 32), node(python="3.13.0rc1"), node(python="3.12.1+")])


@pytest.mark.parametrize(
    "changed",
    [
        *({"commit": each} for each in ("HEAD", "main", COMMIT[:12], "--output=x", COMMIT + "\n")),
        *({"commit": each} for each in (COMMIT.upper(), f"{COMMIT}~1", f"{COMMIT}^{{tree}}", "")),
        *({"stage": each} for each in ("../x", "/tmp/x", "", "a" * 100, "train\n", "a/b")),
        *({"python": each} for each in ("3/../../tmp/evil.11", "3; touch x; .1", "", "3", "3.1\n")),
        *({"patch": each} for each in ("", "x", DIGEST + "\n", "../x")),
        *({"deps": {each: DIGEST}} for each in (".git/hooks", ".git", "a/.GIT/x", ".", "", "a\\b")),
        *({"deps": {each: DIGEST}} for each in (".dvc/config", ".gitattributes", "a\n", "./.git")),
        {"deps": {"data": "../x"}},
    ],
    ids=str,
)
def test_a_statement_names_no_more_than_a_stage_of_a_commit(changed: dict[str, Any]) -> None:
    with pytest.raises(CannotRun, match="^statement of ") as raised:
        demand_plain([node(), node(**changed)])
    assert "\n" not in str(raised.value)

"""How far a format may differ: as it says itself, or as params.verify sets in its place."""

from collections.abc import Mapping

from pipeline import formats
from pipeline.config.params import Tolerance, Verify
from pipeline.formats import contract


def of_answers(verify: Verify, name: str) -> Tolerance:
    return _chosen(verify.tolerance, name, formats.declared(name).tolerance)


def of_training(verify: Verify, name: str) -> Tolerance:
    """Of what a format comes to that is trained on: losses, weights, optimizer's state, answers."""
    return _chosen(verify.continuation, name, formats.declared(name).continuation)


def _chosen(
    params: Mapping[str, Tolerance], name: str, declared: contract.Tolerance | None
) -> Tolerance:
    own = declared or contract.EXACT
    return params.get(name) or Tolerance(atol=own.atol, rtol=own.rtol)

"""How far a format may differ: as it says itself, or as params.verify sets in its place."""

from collections.abc import Mapping
from typing import Any

from pipeline import formats
from pipeline.config.params import Tolerance, Verify
from pipeline.formats import tolerance as promised
from pipeline.provenance.environments import this_platform
from pipeline.verification.comparison import EXACT

ROUNDED = promised.Tolerance(atol=1e-5, rtol=1e-5)
"""Of answers where equal bits are promised, but another processor gave those of the reference."""
ROUNDED_STEPS = promised.Tolerance(atol=1e-4, rtol=1e-4)
"""Of a training there, whose steps carry the rounding on."""


def other_processor(statement: Mapping[str, Any]) -> str | None:
    """Returns, for people, on what the reference was made, if not on a processor like this one;
    statements of before it was recorded do not say."""
    definition = statement["predicate"]["buildDefinition"]
    recorded = definition["internalParameters"].get("platform")
    if recorded in (None, this_platform()):
        return None
    return (
        f"the reference is of {recorded}, this is {this_platform()}: equal bits are not asked for"
    )


def of_answers(
    verify: Verify, name: str, exact: bool = True, schema: Mapping[str, Any] | None = None
) -> Tolerance:
    """Returns how far answers may differ. `exact`: the reference was made by such a processor as is
    here. `schema` says how far the model's own answers hang on rounding; those of before it was
    recorded do not."""
    rounding = (schema or {}).get("rounding", 0.0)
    declared = promised.widened(formats.declared(name).tolerance, rounding)
    return _chosen(verify.tolerance, name, declared, ROUNDED, exact)


def of_training(verify: Verify, name: str, exact: bool = True) -> Tolerance:
    """Returns how far may differ what a format comes to that is trained on: losses, weights,
    optimizer's state, answers."""
    declared = formats.declared(name).continuation
    return _chosen(verify.continuation, name, declared, ROUNDED_STEPS, exact)


def _chosen(
    params: Mapping[str, Tolerance],
    name: str,
    declared: promised.Tolerance | None,
    rounded: promised.Tolerance,
    exact: bool,
) -> Tolerance:
    own = declared or promised.EXACT
    chosen = params.get(name) or Tolerance(atol=own.atol, rtol=own.rtol)
    if exact or chosen != EXACT:
        return chosen
    return Tolerance(atol=rounded.atol, rtol=rounded.rtol)

"""What a statement says of its environment, compared with the interpreter that runs the trace."""

from collections.abc import Mapping

from pipeline.provenance.lineage import Node
from pipeline.trace.claims import Check, count, listed


def environment(node: Node, here: Mapping[str, object]) -> Check:
    """Compares the recorded environment with the interpreter that runs the trace."""
    recorded = node.environment
    text = f"Python {recorded['python']}, {recorded['platform']}, "
    text += count(len(recorded["packages"]), "package")
    differing = differences(recorded, here)
    if not differing:
        return Check(claim="environment", verdict="verified", text=f"{text}; the same here")
    return Check(
        claim="environment",
        verdict="missing",
        text=f"{text}; here {len(differing)} differ: {listed(differing)}",
        todo="`python -m pipeline.reproduce WHAT --environment recorded` makes one as it was",
    )


def differences(recorded: Mapping[str, object], here: Mapping[str, object]) -> list[str]:
    """Returns "torch 2.13.0 (here 2.12.0)" and the like, for Python, the platform and every
    package."""
    before, now = _versions(recorded), _versions(here)
    return [
        f"{name} {before.get(name, 'none')} (here {now.get(name, 'none')})"
        for name in [*before, *(name for name in now if name not in before)]
        if before.get(name) != now.get(name)
    ]


def _versions(environment: Mapping[str, object]) -> dict[str, str]:
    """Returns Python, the platform and every package by name."""
    packages = environment["packages"]
    assert isinstance(packages, Mapping)
    named = {"python": environment["python"], "platform": environment["platform"]}
    return {name: str(version) for name, version in (named | dict(packages)).items()}

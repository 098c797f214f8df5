"""An output has unfinished.json until it has its statement.

The file says what the output is being made from, its plan, and the sha256 of each file from which a
stage that was killed resumes.
"""

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline import provenance
from pipeline.config.reading import flatten
from pipeline.files import remove_path, write_atomically
from pipeline.run import backup

NAME = "unfinished.json"
NEVER = "not finished"

Plan = Mapping[str, Any]


def begin(output: Path, plan: Plan) -> None:
    """Makes the output anew, empty but for its plan."""
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    _write(output, {"plan": plan, "saved": {}})


def finish(output: Path) -> None:
    """Removes the state of an output that has its statement.

    The backup stays until the next stage runs, when DVC has the output.
    """
    state = _read(output)
    if state["saved"]:
        _write(output, state | {"finished": True})
        backup.update(output)
    (output / NAME).unlink()


def save(output: Path, *files: Path) -> None:
    """Records that these files, or folders of them, are whole: a next run resumes from all of them
    or from none."""
    state = _read(output)
    state["saved"] |= {path.name: provenance.digest(path) for path in files}
    _write(output, state)
    backup.update(output)


def remove(output: Path, files: Iterable[Path]) -> None:
    """Removes files, or folders of them, that were saved, or were about to be."""
    removed = list(files)
    names = {path.name for path in removed}
    state = _read(output)
    state["saved"] = {name: sha for name, sha in state["saved"].items() if name not in names}
    _write(output, state)
    for path in removed:
        remove_path(path)
    backup.update(output)


def fault(output: Path, file: Path) -> str | None:
    """Returns why the file is not what was saved; None if it is."""
    saved = _read(output)["saved"].get(file.name)
    if saved is None:
        return NEVER
    if not file.exists():
        return "missing"
    return None if provenance.digest(file) == saved else "changed"


def resume(output: Path, plan: Plan) -> bool:
    """Returns whether the output holds work begun from the same params, data and code.

    Work begun from others is set aside, and what was set aside before comes back if it was begun
    from these.
    """
    aside, spare = aside_of(output), output.with_name(f".{output.name}.spare")
    if spare.is_dir() and not aside.is_dir():  # killed between the two
        spare.rename(aside)
    _restore(output, plan)
    begun = plan_of(output)
    if begun == plan:
        return True
    returns = plan_of(aside) == plan
    if begun is not None:
        print(f"{output}: begun from {differences(begun, plan)}; kept in {aside}", flush=True)
        shutil.rmtree(spare, ignore_errors=True)
        output.rename(spare)
    if returns:
        print(f"{output}: back from {aside}, begun from what is at hand now", flush=True)
        shutil.rmtree(output, ignore_errors=True)
        aside.rename(output)
    if begun is not None:
        shutil.rmtree(aside, ignore_errors=True)
        spare.rename(aside)
    return returns


def aside_of(output: Path) -> Path:
    """Returns where work is that was begun from other params, data or code, if there is any."""
    return output.with_name(f".{output.name}.aside")


def _restore(output: Path, plan: Plan) -> None:
    """Brings back what DVC replaced; a finished training that is run again begins anew."""
    copy = backup.path_of(output)
    finished_here = (output / provenance.NAME).is_file() and _made_from(output) == plan
    if _read_if_valid(copy).get("finished") and (finished_here or plan_of(copy) != plan):
        backup.remove(output)
    backup.restore(output, NAME)


def _made_from(output: Path) -> Plan:
    """Returns the plan in the output's statement, which names the commit as well."""
    try:
        plan: dict[str, Any] = provenance.read(output)["predicate"]["buildDefinition"]
        return plan | {"resolvedDependencies": plan["resolvedDependencies"][1:]}
    except (ValueError, LookupError, TypeError):
        return {}


def differences(before: Plan, now: Plan) -> str:
    """Says in which params, packages and deps two plans differ."""
    names = differing(before, now)
    return f"other {', '.join(names[:5])}{', …' if len(names) > 5 else ''}"


def differing(before: Plan, now: Plan) -> list[str]:
    """Names the params, packages and deps in which two plans differ."""
    old, new = map(_leaves, (before, now))
    return [name for name in {**old, **new} if old.get(name, name) != new.get(name, name)]


def _leaves(plan: Plan) -> dict[str, Any]:
    leaves = flatten(plan.get("externalParameters", {}).get("params", {}))
    leaves |= flatten(plan.get("internalParameters", {}))
    return leaves | {dep["name"]: dep["digest"] for dep in plan.get("resolvedDependencies", [])}


def plan_of(output: Path) -> Plan | None:
    """Returns what an unfinished output is made from; None for what was not begun, or cannot be
    read any more."""
    plan: Plan | None = _read_if_valid(output).get("plan")
    return plan


def _read_if_valid(output: Path) -> dict[str, Any]:
    try:
        state = _read(output)
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def _read(output: Path) -> dict[str, Any]:
    state: dict[str, Any] = json.loads((output / NAME).read_text())
    return state


def _write(output: Path, state: Mapping[str, Any]) -> None:
    write_atomically(output / NAME, json.dumps(state, indent=1))

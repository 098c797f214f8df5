"""unfinished.json stands in an output until its statement does: what it is being made from, and the
sha256 of what a stage that was killed goes on from."""

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline import provenance
from pipeline.config.reading import flat
from pipeline.files import write_atomically
from pipeline.run import safe_copy

NAME = "unfinished.json"
NEVER = "not finished"


def begin(output: Path, plan: Mapping[str, Any]) -> None:
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    _write(output, {"plan": plan, "saved": {}})


def end(output: Path) -> None:
    """Once the statement stands; what is kept stays until the next stage, when DVC has it."""
    found = _read(output)
    if found["saved"]:
        _write(output, found | {"finished": True})
        safe_copy.keep(output)
    (output / NAME).unlink()


def save(output: Path, *files: Path) -> None:
    """They are whole, and what a next run goes on from, all of them or none."""
    found = _read(output)
    found["saved"] |= {path.name: provenance.digest(path) for path in files}
    _write(output, found)
    safe_copy.keep(output)


def drop(output: Path, files: Iterable[Path]) -> None:
    """Removes files that were saved, or were about to be."""
    gone = list(files)
    found = _read(output)
    found["saved"] = {k: v for k, v in found["saved"].items() if k not in {p.name for p in gone}}
    _write(output, found)
    for path in gone:
        path.unlink(missing_ok=True)
    safe_copy.keep(output)


def fault(output: Path, file: Path) -> str | None:
    """Why the file is not what was saved; None if it is."""
    saved = _read(output)["saved"].get(file.name)
    if saved is None:
        return NEVER
    if not file.is_file():
        return "missing"
    return None if provenance.digest(file) == saved else "changed"


def goes_on(output: Path, plan: Mapping[str, Any]) -> bool:
    """Whether what lies there was begun from the same params, data and code. If not, it is set
    aside, and what was set aside before comes back if that was."""
    aside, spare = (output.with_name(f".{output.name}.{name}") for name in ("aside", "spare"))
    if spare.is_dir() and not aside.is_dir():  # killed between the two
        spare.rename(aside)
    there = safe_copy.place_of(output)
    again = (output / provenance.NAME).is_file() and _made_from(output) == plan
    if _read_if(there).get("finished") and (again or _plan(there) != plan):
        safe_copy.drop(output)
    safe_copy.bring_back(output, NAME)
    begun = _plan(output)
    if begun == plan:
        return True
    back = _plan(aside) == plan
    if begun is not None:
        print(f"{output}: begun from {differences(begun, plan)}; kept in {aside}", flush=True)
        shutil.rmtree(spare, ignore_errors=True)
        output.rename(spare)
    if back:
        print(f"{output}: back from {aside}, begun from what is at hand now", flush=True)
        shutil.rmtree(output, ignore_errors=True)
        aside.rename(output)
    if begun is not None:
        shutil.rmtree(aside, ignore_errors=True)
        spare.rename(aside)
    return back


def _made_from(output: Path) -> Mapping[str, Any]:
    """The plan that the statement tells of, which has the commit as well."""
    try:
        found: dict[str, Any] = provenance.read(output)["predicate"]["buildDefinition"]
        return found | {"resolvedDependencies": found["resolvedDependencies"][1:]}
    except (ValueError, LookupError, TypeError):
        return {}


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The params, packages and deps that two plans differ in, by name."""
    old, new = map(_leaves, (before, now))
    names = [name for name in {**old, **new} if old.get(name, name) != new.get(name, name)]
    return f"other {', '.join(names[:5])}{', …' if len(names) > 5 else ''}"


def _leaves(plan: Mapping[str, Any]) -> dict[str, Any]:
    found = flat(plan.get("externalParameters", {}).get("params", {}))
    found |= flat(plan.get("internalParameters", {}))
    return found | {dep["name"]: dep["digest"] for dep in plan.get("resolvedDependencies", [])}


def _plan(output: Path) -> Mapping[str, Any] | None:
    """None for what was not begun, or cannot be read any more."""
    found: Mapping[str, Any] | None = _read_if(output).get("plan")
    return found


def _read_if(output: Path) -> dict[str, Any]:
    try:
        found = _read(output)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _read(output: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((output / NAME).read_text())
    return found


def _write(output: Path, content: Mapping[str, Any]) -> None:
    write_atomically(output / NAME, json.dumps(content, indent=1))

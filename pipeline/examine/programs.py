"""The programs in other languages that came with a model are never run: are they those that are
written here of such a model?"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline import provenance, runtimes
from pipeline.examine.described import demand
from pipeline.runtimes.contract import FOLDER
from pipeline.untrusted import documents, limits
from pipeline.verification.result import Result

KEYS = {"held", "required", "refused"}


def demand_listed(value: Mapping[str, Any]) -> None:
    """Raises ValueError unless formats.json lists runtimes as the export does."""
    listed, known = value.get(FOLDER), runtimes.names()
    if listed is None:
        return
    demand(isinstance(listed, dict) and set(listed) == KEYS, f"{', '.join(sorted(KEYS))} alone")
    for key in ("held", "required"):
        demand(isinstance(listed[key], list), f"a list of runtimes {key}")
        demand(all(name in known for name in listed[key]), f"runtimes of {', '.join(known)}")
    demand(isinstance(listed["refused"], dict), "a mapping of refused runtimes")
    texts = all(isinstance(each, str) and len(each) < 10_000 for each in listed["refused"].values())
    demand(texts and all(name in known for name in listed["refused"]), "a line for each refused")


def held(listed: Mapping[str, Any]) -> list[str]:
    """Returns the runtimes that formats.json says are carried; after `demand_listed`."""
    return list(listed.get(FOLDER, {}).get("held", ()))


def judged(copy: Path, names: list[str], schema: Mapping[str, Any]) -> Result | None:
    """Compares the files of the runtimes with these names; None where there are none. After
    `screen`, since a program can name what lies in the format that it loads."""
    present = {name for name in provenance.files(copy) if name.startswith(f"{FOLDER}/")}
    if not present and not names:
        return None
    try:
        expected = dict(_expected(copy, names, schema))
        texts = {name: documents.read_text(copy / name, limits.TEXT) for name in present}
    except (ValueError, LookupError, TypeError, OSError) as fault:
        return _not_proved(" ".join(str(fault).replace(f"{copy}/", "").split())[:200])
    if texts == expected:
        return Result(summary="what is written of this model, to the letter; not run")
    differing = sorted(n for n in texts.keys() | expected.keys() if texts.get(n) != expected.get(n))
    return _not_proved(f"{differing[0]} is not what is written here")


def _expected(copy: Path, names: list[str], schema: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name in names:
        for file, text in runtimes.program(name).files(copy, schema).items():
            yield f"{FOLDER}/{name}/{file}", text


def _not_proved(why: str) -> Result:
    return Result(summary=f"{why}: a stranger's program; do not build or run it", done=False)

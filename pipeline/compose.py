"""compose: conf/ and params.yaml become one, and the user's own values stay."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pipeline.config.composition import interpolated
from pipeline.config.merge import Lock, merge, read_lock, write_lock
from pipeline.config.option_files import group_of
from pipeline.config.params import Export, Params
from pipeline.config.reading import flatten, read
from pipeline.config.yaml_text import dump_yaml, load_yaml
from pipeline.errors import ParamsError
from pipeline.files import write_atomically
from pipeline.run import command, parent, stage
from pipeline.runtimes import declared

LISTED = 8
"""Values in one line."""


def compose(conf: Path, params: Path, lock: Path) -> None:
    """Writes `params` where its values change, and to `lock` what the next merge needs.

    Raises ParamsError, or IncompleteArtifact for a parent that is missing, before anything is
    written.
    """
    current = load_yaml(params.read_text(), str(params)) if params.is_file() else None
    last = read_lock(lock)
    merged, new_lock = merge(conf, current, last)
    _demand_formats(read(Params, merged).export)
    new_lock = replace(new_lock, parent_code=parent.code_digest(merged))
    new_lock = replace(new_lock, command_code=command.code_digest(merged))
    if merged != current:
        write_atomically(params, dump_yaml(merged))
    write_lock(lock, new_lock)
    for line in remarks(conf, params, last, new_lock):
        print(line)


def _demand_formats(export: Export) -> None:
    """Raises ParamsError for a required runtime whose format nobody asks for."""
    for name in export.runtimes.required:
        taken = declared(name).format
        if taken not in (*export.formats, *export.attempt):
            raise ParamsError(
                f"export.runtimes.required: found {name}, which takes the format {taken}, expected "
                "that in export.formats or export.attempt; name it there"
            )


def remarks(conf: Path, params: Path, last: Lock | None, now: Lock) -> Iterator[str]:
    """Yields a line on options that params were found to be composed of, and one on the values that
    stand against what conf/ says since the last time."""
    chosen = [each for each in now.options if last and each not in last.options]
    for each in chosen:
        file = conf / group_of(each) / f"{each.partition('=')[2]}.yaml"
        yield f"{params}: holds what {each} composes to; an edit of {file} is taken up"
    written, before = (flatten(interpolated(each.conf)) for each in (now, last or now))
    of_parent = "model." if now.own.get("train.parent") else None
    stands = [
        f"{key}={value} ({conf}/: {written.get(key, 'none')})"
        for key, value in now.own.items()
        if written.get(key) != before.get(key) and not (of_parent and key.startswith(of_parent))
    ]
    if stands:
        more = f", and {len(stands) - LISTED} more" if len(stands) > LISTED else ""
        yield f"{params}: stands because you set it: {', '.join(stands[:LISTED])}{more}"


if __name__ == "__main__":
    stage.main(compose)

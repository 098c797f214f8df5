"""compose: conf/ and params.yaml become one, and the user's own values stay."""

from dataclasses import replace
from pathlib import Path

from pipeline.config.merge import merge, read_lock, write_lock
from pipeline.config.params import Params
from pipeline.config.reading import dump_yaml, load_yaml, read
from pipeline.files import write_atomically
from pipeline.run import parent, stage


def compose(conf: Path, params: Path, lock: Path) -> None:
    """Writes `params` where its values change, and to `lock` what the next merge needs.

    Raises ParamsError, or IncompleteArtifact for a parent that is missing, before anything is
    written.
    """
    current = load_yaml(params.read_text(), str(params)) if params.is_file() else None
    merged, new_lock = merge(conf, current, read_lock(lock))
    read(Params, merged)
    new_lock = replace(new_lock, parent_code=parent.code_digest(merged))
    if merged != current:
        write_atomically(params, dump_yaml(merged))
    write_lock(lock, new_lock)


if __name__ == "__main__":
    stage.main(compose)

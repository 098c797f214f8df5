"""Compositions that are made once for all that tests run: nearly every project has the same conf/,
and Hydra takes a twelfth of a second for each of the few or many that a merge asks for.
"""

import contextlib
import functools
import hashlib
import os
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ELSEWHERE = (b"searchpath", b"oc.env")
"""In files or overrides whose composition may hang on more than themselves."""


def once(folder: Path) -> None:
    """From now on, what this process, its child or another one with this folder has had composed of
    the same files is not composed again. Each caller has a configuration of its own, whose
    `hydra.runtime` names the folder of the first one."""
    import hydra

    folder.mkdir(exist_ok=True)
    plainly = hydra.compose

    @functools.wraps(plainly)
    def compose(config_name: str, overrides: Sequence[str], return_hydra_config: bool) -> Any:
        content = _content([config_name, *overrides, return_hydra_config])
        if any(each in content for each in ELSEWHERE):
            return plainly(config_name, [*overrides], return_hydra_config)
        place = folder / hashlib.sha256(content).hexdigest()
        with contextlib.suppress(OSError):  # nobody has, or it cannot be seen from here
            return pickle.loads(place.read_bytes())
        config = plainly(config_name, [*overrides], return_hydra_config)
        with contextlib.suppress(OSError):
            partial = place.with_suffix(f".{os.getpid()}")
            partial.write_bytes(pickle.dumps(config))
            partial.rename(place)  # it appears whole
        return config

    hydra.compose = compose


def _content(asked: list[Any]) -> bytes:
    """Returns all that a composition is made of: what is asked, and the files of its folder."""
    from hydra.core.global_hydra import GlobalHydra

    search = GlobalHydra.instance().config_loader().get_search_path().get_path()
    folders = [each.path.removeprefix("file://") for each in search if each.provider == "main"]
    files = [
        (str(file.relative_to(folder)), file.read_bytes())
        for folder in folders
        for file in sorted(Path(folder).rglob("*.yaml"))
    ]
    return repr((asked, files)).encode()

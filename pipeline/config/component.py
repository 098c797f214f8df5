"""A component of the configuration is made from its `_target_`, after Hydra's rules."""

from collections.abc import Callable
from typing import Any

from pipeline.config.reading import Component
from pipeline.config.targets import Kind, check
from pipeline.errors import ParamsError


def component(config: Component, key: str, kind: Kind) -> Callable[..., Any]:
    """Returns a function that makes what `config` describes.

    Raises ParamsError naming `key` where that is not of the kind; the function does where it
    refuses its arguments.
    """
    from hydra.errors import HydraException
    from hydra.utils import instantiate

    check(config, key, kind)

    def make(*arguments: Any) -> Any:
        try:
            return instantiate(dict(config), *arguments, _convert_="all")
        except HydraException as fault:
            text = " ".join(str(fault).split()).removesuffix(f" full_key: {key}")
            raise ParamsError(f"{key}: {text}; correct its _target_ or its arguments") from None

    return make

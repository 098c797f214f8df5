"""A format refers to weights in the files of those formats that it is exported after."""

from . import declared
from .contract import Format


def weight_files(form: Format) -> tuple[str, ...]:
    """Returns the files in which other formats hold weights for `form`."""
    return tuple(file for name in form.after for file in declared(name).weight_files)


def optimizer_files(form: Format) -> tuple[str, ...]:
    """Returns the files in which other formats hold the optimizer's state for `form`."""
    return tuple(file for name in form.after for file in declared(name).optimizer_files)

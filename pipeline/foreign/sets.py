"""Which of the sets of weights that a checkpoint holds is taken: a script may save an average of
them, or a second net, beside those that were trained."""

from collections.abc import Mapping
from typing import Any

from pipeline.errors import ParamsError
from pipeline.text import escaped

from ._averages import AVERAGES
from .contract import Foreign
from .lazy_mapping import LazyMapping

SHOWN = 10


def chosen(checkpoint: Foreign, word: str | None) -> Mapping[str, Any]:
    """Returns the weights that `model.weights_of` names: those under a key of their own, or those
    whose names begin with it, without that. Raises ParamsError, one line, where there are none."""
    if word is None:
        return checkpoint.weights
    if word in checkpoint.others:
        return checkpoint.others[word]
    head = f"{word}."
    names = {name[len(head) :]: name for name in checkpoint.weights if name.startswith(head)}
    if names:
        return LazyMapping(names, checkpoint.weights.__getitem__)
    begin = dict.fromkeys(name.partition(".")[0] for name in checkpoint.weights if "." in name)
    known = ", ".join(map(escaped, [*checkpoint.others, *begin][:SHOWN])) or "none"
    raise ParamsError(
        f"model.weights_of: found {word}, expected one of those in the checkpoint: {known}; null "
        "takes what it holds as its weights"
    )


def has_optimizer(checkpoint: Foreign, word: str | None) -> bool:
    """Returns whether the optimizer's state in the checkpoint is that of these weights."""
    if checkpoint.optimizer is None:
        return False
    if word is None or word in checkpoint.others:
        return word == checkpoint.optimizer_of
    return AVERAGES.search(word) is None


def start_with(checkpoint: Foreign, word: str | None) -> str:
    """Returns what train.start_with is unless somebody says it: of several nets in one state_dict
    the optimizer is taken where it is asked for alone."""
    known = word is None or word in checkpoint.others
    return "optimizer" if known and has_optimizer(checkpoint, word) else "weights"

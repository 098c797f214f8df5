"""What a loop calls a value becomes train/<name> or val/<name>, as our own history has them."""

import re
from collections.abc import Iterable, Mapping

SPLITS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "eval", "evaluation", "dev"),
    "": ("test",),
}
"""Word at the beginning or the end of a name -> the split that it stands for; the test split is
judged later, and here."""
BOOKKEEPING = re.compile(
    "epoch|step|global_step|iteration|hp_metric|total_flos|num_input_tokens_seen|time|date|seconds|"
    ".*(runtime|per_second|_time|elapsed|duration|timestamp|throughput|memory|wall|date|_secs?)"
)
"""What is no curve, or another number at each run: counters, clocks and the machine's load."""
REFUSED = re.compile(r"[^\w. -]+")
"""What MLflow takes in no name."""


def renamed(columns: Iterable[str], said: Mapping[str, str | None]) -> dict[str, str]:
    """Returns ours for each of theirs that stays: as `said`, or else by the words in it. Of several
    that would be one, the first stays, and one of an epoch's mean goes before one of a step."""
    result: dict[str, str] = {}
    for column in sorted(columns, key=_is_of_step):
        name = said[column] if column in said else named(column)
        if name is not None and name not in result.values():
            result[column] = name
    return result


def _is_of_step(column: str) -> bool:
    return column.lower().endswith("_step")


def named(column: str) -> str | None:
    """Returns train/<name> or val/<name>; None for what is left out.

    A split's word stands first or last, parted by any of `/ _ . -` and spaces: val_loss, loss/val,
    eval/accuracy. Without one it is of training, as with Keras. `epoch_` before and `_epoch` or
    `_step` behind it say nothing.
    """
    words = [word for word in re.split(r"[/_.\s-]+", column.strip()) if word]
    split = "train"
    for place in (0, -1):
        splits = [s for s, known in SPLITS.items() if words and words[place].lower() in known]
        if splits and len(words) > 1:
            split = splits[0]
            words.pop(place)
            break
    while len(words) > 1 and words[-1].lower() in ("epoch", "step"):
        words.pop()
    while len(words) > 1 and words[0].lower() == "epoch":
        words.pop(0)
    name = REFUSED.sub("_", "_".join(words))
    if not split or not name or BOOKKEEPING.fullmatch(name.lower()):
        return None
    return f"{split}/{name}"

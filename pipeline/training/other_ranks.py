"""A training that other ranks have begun is not gone on with, for no statement could say which of
them took which epochs; it starts anew, and a line says how to start from where they came to."""

from pathlib import Path

from pipeline.config.train_params import Train
from pipeline.foreign import TRAINED
from pipeline.run import resume_state

OF_RANKS = "train.distributed."


def tell_how_to_go_on(output: Path, train: Train) -> None:
    """Prints the command, where a training was set aside that differs in its ranks alone, and this
    one is at its beginning."""
    aside = resume_state.aside_of(output)
    before, now = resume_state.plan_of(aside), resume_state.plan_of(output)
    if before is None or now is None or any(output.glob("epoch_*")):
        return
    names = resume_state.differing(before, now)
    saved = [path for path in sorted(aside.glob("epoch_*")) if not resume_state.fault(aside, path)]
    if not saved or not all(name.startswith(OF_RANKS) for name in names):
        return
    of = f"model.weights_of={TRAINED} " if train.averaging else ""
    done = int(saved[-1].stem.removeprefix("epoch_"))
    print(
        f"{output}: other ranks begin anew; to go on from epoch {done}, as another training with "
        f"bits of its own: python -m pipeline train.start={saved[-1]} train.start_with=optimizer "
        f"{of}train.epochs={train.epochs - done}, and what else you have set",
        flush=True,
    )

"""The batches that every format is asked, with the trained model's answers to them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data import arrays as prepared
from pipeline.data import sizes
from pipeline.errors import ParamsError
from pipeline.reference import edges, rounding
from pipeline.reference.source import Arrays, Source, finite, rows_of
from pipeline.sandbox.worker.perturbation import ROUNDS

EDGE_ROWS = ("least", "greatest", "zeros", "beyond the least", "beyond the greatest")
OF_SIZE = 3
"""Rows of a batch of certain sizes."""
ALIKE = 1e-3
"""Rows are alike where their answers differ by no more than this, and this times the largest."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Rows with their answers, and those among what was made up that have none to be held to."""

    inputs: Arrays
    outputs: Arrays
    left_out: dict[str, Arrays] = field(default_factory=dict)
    """What the row is -> the row."""
    notes: list[str] = field(default_factory=list)
    rounding: float = 0.0
    """What a tolerance must be at least, as its answers hang on rounding."""


def record(source: Source, data: Path, folder: Path, many: int) -> dict[str, Asked]:
    """Writes <folder>/<batch>.npz of 1, 7 and many rows of the test split, and of edge values; and
    wide.npz, where the rows of `many` are alike; and of the least and the greatest sizes and those
    between, where dimensions vary. Returns them by name."""
    test, _ = prepared.split(data, "test")
    cuts = {"one": slice(0, 1), "seven": slice(0, 7), "many": slice(0, many)}
    batches = {name: _ask_real(source, test, rows) for name, rows in cuts.items()}
    training, _ = prepared.split(data, "train")
    wanted = finite(batches["many"].outputs)
    made_up, names = edges.of_all(training, batches["one"].inputs), list(EDGE_ROWS)
    described = prepared.schema(data)["inputs"]
    if edges.may_be_missing(described):
        made_up, names = edges.with_missing(made_up, described), [*names, "missing values"]
    edge = ask_made_up(source, made_up, names, wanted)
    batches |= _of_sizes(source, prepared.schema(data), test)
    batches, edge = _steady(source, batches, edge, names)
    batches["edge"] = edge if edge.outputs else _stand_in(source, training, edge)
    if _alike(next(iter(batches["many"].outputs.values()))):
        rows = edges.far_of_all(training)
        far_names = [f"far row {n}" for n in range(len(next(iter(rows.values()))))]
        wide = ask_made_up(source, rows, far_names, True)
        batches |= {"wide": wide} if wide.outputs else {}
    for name, asked in batches.items():
        _write(folder / f"{name}.npz", asked)
    return batches


def _steady(
    source: Source, real: Mapping[str, Asked], edge: Asked, names: list[str]
) -> tuple[dict[str, Asked], Asked]:
    """Returns both with how their answers hang on rounding, and without edge rows of which they do
    so more than those of real rows, and more than any format may be off: no program can be held to
    what nobody knows. They are asked as odd inputs are."""
    asked = {**real, **({"edge": edge} if edge.outputs else {})}
    of_rows = rounding.of_rows(
        source, {n: (each.inputs, each.outputs) for n, each in asked.items()}
    )
    largest = {name: float(each.max(initial=0.0)) for name, each in of_rows.items()}
    steady = {name: replace(each, rounding=largest[name]) for name, each in real.items()}
    allowed = max(ROUNDS, *(largest[name] for name in real))
    taken = [name for name in names if name not in edge.left_out] if edge.outputs else []
    shaky = [n for n in range(len(taken)) if of_rows["edge"][n] > allowed]
    if not shaky:
        return steady, edge
    rest = [n for n in range(len(taken)) if n not in shaky]
    finite_ones = finite(real["many"].outputs)
    rows = rows_of(edge.inputs, rest)
    again = ask_made_up(source, rows, [taken[n] for n in rest], finite_ones)
    left_out = {taken[n]: rows_of(edge.inputs, slice(n, n + 1)) for n in shaky}
    notes = [f"{taken[n]}: its last digits decide the answer" for n in shaky]
    return steady, replace(
        again,
        left_out={**edge.left_out, **left_out, **again.left_out},
        notes=[*edge.notes, *notes, *again.notes],
    )


def _of_sizes(
    source: Source, schema: Mapping[str, Any], test: Mapping[str, np.ndarray]
) -> dict[str, Asked]:
    """Returns rows of the test split in sizes that they need not have themselves."""
    batches = {}
    for name, dimensions in sizes.of_batches(schema).items():
        inputs = sizes.resized(schema, test, OF_SIZE, dimensions)
        text = ", ".join(f"{each} {size}" for each, size in dimensions.items())
        batches[name] = _answered(source, inputs, f"rows with {text}")
    return batches


def ask_made_up(
    source: Source, inputs: Mapping[str, np.ndarray], names: Any, demand_finite: bool
) -> Asked:
    """Returns the rows that the model answers; data cannot have them, so where the model raises, or
    has no finite answer though it has one to every real row, nothing is at fault but the row."""
    reasons: dict[int, str] = {}
    answers = source.answers_or_refuses(inputs)
    if isinstance(answers, str) or (demand_finite and not finite(answers)):
        for n in range(len(names)):
            alone = source.answers_or_refuses(rows_of(inputs, slice(n, n + 1)))
            if isinstance(alone, str):
                reasons[n] = f"the model raises {alone}"
            elif demand_finite and not finite(alone):
                reasons[n] = "the answer is not finite"
    taken = [n for n in range(len(names)) if n not in reasons]
    rows = rows_of(inputs, taken)
    together = source.answers_or_refuses(rows) if taken else {}
    if isinstance(together, str):
        reasons |= dict.fromkeys(taken, f"in one batch with others the model raises {together}")
        together = {}
    return Asked(
        inputs=rows,
        outputs=together,
        left_out={names[n]: rows_of(inputs, slice(n, n + 1)) for n in sorted(reasons)},
        notes=[f"{names[n]}: {reasons[n]}" for n in sorted(reasons)],
    )


def _ask_real(source: Source, inputs: Mapping[str, np.ndarray], rows: slice) -> Asked:
    """Returns rows of the test split with their answers. Raises ParamsError where the model has
    none: on these it is judged."""
    real = {name: np.array(array[rows]) for name, array in inputs.items()}
    return _answered(source, real, f"the first {len(next(iter(real.values())))} rows")


def _answered(source: Source, inputs: Arrays, what: str) -> Asked:
    answers = source.answers_or_refuses(inputs)
    if isinstance(answers, str):
        raise ParamsError(
            f"model.net: on {what} of the test split it raises {answers}; expected an answer to "
            "every row of the data"
        )
    return Asked(inputs=inputs, outputs=answers)


def _stand_in(source: Source, training: Mapping[str, np.ndarray], edge: Asked) -> Asked:
    """Returns a row of the training split in the place of edge values that have no answer."""
    row = {name: np.array(array[:1]) for name, array in training.items()}
    note = "no edge value is answered, so the batch `edge` is a row of the training split"
    return Asked(
        inputs=row,
        outputs=source.answers(row),
        left_out=edge.left_out,
        notes=[*edge.notes, note],
    )


def _alike(output: np.ndarray) -> bool:
    """Returns whether no place of an output differs from row to row by more than formats may
    round."""
    if output.dtype.kind not in "fc" or not output.size:
        return bool((output == output[:1]).all())
    values = np.where(np.isfinite(output), output, 0).astype(np.complex128)
    span = float(np.abs(values - values[:1]).max())
    return span <= ALIKE * (1 + float(np.abs(values).max()))


def _write(path: Path, asked: Asked) -> None:
    """Writes arrays row by row, whichever way they lie in memory: programs in other languages read
    them."""
    arrays = {f"input.{k}": v for k, v in asked.inputs.items()}
    arrays |= {f"output.{k}": v for k, v in asked.outputs.items()}
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    np.savez(path, **arrays)  # type: ignore[arg-type]

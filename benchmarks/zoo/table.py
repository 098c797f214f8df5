"""docs/zoo.md: the rates, the table of all nets, and why one is not as the others."""

import re
from collections.abc import Iterator, Mapping, Sequence

from benchmarks.zoo.nets import Net
from benchmarks.zoo.outcome import RATES, Outcome

YES, NO = "yes", "no"
UNTRACED = "cannot be traced"
"""Stands in the reason of a net that no program holds, which names the line in its way."""
UNDECIDED = "proves nothing"
"""Stands in that of a net whose answers are no numbers here, in its own process either."""
HEAD = """# The zoo

Nets that nobody here wrote, each of a library and described by configuration alone
(`benchmarks/zoo/nets/`), in tiny sizes and with new weights. `python -m benchmarks.zoo` writes
this page:

* **trains**: it takes its steps here, and its checkpoint is judged and loaded;
* **predicts**: `model.pt2` (of Keras the SavedModel) answers without the library, bit for bit;
* **trains on**: it goes on without the library, to the same losses, weights and optimizer's state,
  bit for bit;
* **onnx**: onnxruntime's CPU answers within tolerance;
* **verified**: no check of `verify` finds any fault.

Size is the complete model's over the net's weights, with the optimizer's momentum in it; memory is
that of the largest stage. The seconds are a busy machine's, several times those of a quiet one.
"""


def written(nets: Sequence[Net], outcomes: Mapping[str, Outcome], page: str = "") -> str:
    """Returns the page. What is known of no net here stays as an earlier page has it."""
    outcomes = {net.name: each for net in nets if (each := remembered(page, net))} | {**outcomes}
    tried = [net for net in nets if net.name in outcomes]
    families = sorted({net.family for net in tried})
    lines = [HEAD, f"| family | nets | {' | '.join(RATES)} |", "|---" * (len(RATES) + 2) + "|"]
    for family in [*families, "all"]:
        mine = [outcomes[n.name] for n in tried if family in (n.family, "all")]
        counts = (sum(each.rates[rate] for each in mine) for rate in RATES)
        lines.append(f"| {family} | {len(mine)} | {' | '.join(map(str, counts))} |")
    traced = [each for each in outcomes.values() if is_traced(each)]
    train_on = sum(each.rates["trains on"] for each in traced)
    undecided = sum(UNDECIDED in each.reasons.get("trains on", "") for each in traced)
    lines += ["", f"Of {len(traced)} nets whose step can be traced, {train_on} train on."]
    lines += [f"The answers of {undecided} are no numbers, which proves nothing."] * (undecided > 0)
    lines += ["", f"| net | {' | '.join(RATES)} | seconds | size | MiB |"]
    lines += ["|---" * (len(RATES) + 4) + "|", *(line(net, outcomes[net.name]) for net in tried)]
    lines += ["", "## Reasons", ""]
    for net in tried:
        lines += [f"* **{net.name}**, {reason}" for reason in reasons(outcomes[net.name])]
    left = [net.name for net in nets if net.name not in outcomes]
    lines += ["", f"Not tried: {', '.join(left)}."] if left else []
    return "\n".join(lines) + "\n"


def is_traced(outcome: Outcome) -> bool:
    """Returns whether a net trains here, and nothing in it is in the way of a program."""
    return outcome.rates["trains"] and UNTRACED not in outcome.reasons.get("trains on", "")


def line(net: Net, outcome: Outcome) -> str:
    """Returns the row of a net."""
    rates = " | ".join(YES if outcome.rates[rate] else NO for rate in RATES)
    size = f"{outcome.size:.1f}" if outcome.size else ""
    return f"| {net.name} | {rates} | {outcome.seconds:.0f} | {size} | {outcome.memory:.0f} |"


def reasons(outcome: Outcome) -> Iterator[str]:
    """Yields each reason once, with the rates that it is of."""
    for reason in dict.fromkeys(outcome.reasons.values()):
        rates = [rate for rate, text in outcome.reasons.items() if text == reason]
        yield f"{', '.join(rates)}: {reason}"


def read(page: str) -> dict[str, dict[str, bool]]:
    """Returns each net's rates as an earlier page has them."""
    rows = [[cell.strip() for cell in each.split("|")[1:-1]] for each in page.splitlines()]
    return {
        row[0]: {rate: cell == YES for rate, cell in zip(RATES, row[1:], strict=False)}
        for row in rows
        if len(row) == len(RATES) + 4 and row[1] in (YES, NO)
    }


def remembered(page: str, net: Net) -> Outcome | None:
    """Returns what an earlier page says of a net, if it has it."""
    found = re.search(rf"^\| {re.escape(net.name)} (\|.*)\|$", page, re.MULTILINE)
    cells = [cell.strip() for cell in found[1].split("|")[1:]] if found else []
    if len(cells) != len(RATES) + 3:
        return None
    seconds, size, memory = (float(cell or 0) for cell in cells[len(RATES) :])
    outcome = Outcome(net.digest, seconds, memory, size)
    outcome.rates = {rate: cell == YES for rate, cell in zip(RATES, cells, strict=False)}
    said = re.findall(rf"^\* \*\*{re.escape(net.name)}\*\*, ([\w, ]+): (.*)$", page, re.MULTILINE)
    for rates, reason in said:
        outcome.reasons |= dict.fromkeys(rates.split(", "), reason)
    return outcome


def fallen(
    before: Mapping[str, Mapping[str, bool]], outcomes: Mapping[str, Outcome]
) -> dict[str, list[str]]:
    """Returns the rates in which a net did better before."""
    worse = {
        name: [rate for rate, was in rates.items() if was and not outcomes[name].rates[rate]]
        for name, rates in before.items()
        if name in outcomes
    }
    return {name: rates for name, rates in worse.items() if rates}

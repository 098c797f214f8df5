"""Lines for the card."""

from pathlib import Path

from .._card import rows_of_step
from ..dimensions import FIXED, Dimensions
from ._files import FILE, PREDICT, STEP
from ._masks import MASKS
from ._states import read

_READ = f"""described = json.load(open("{FILE}"))
state = {{}}
for each in described["states"]:
    size = each["nbytes"] // numpy.dtype(each["dtype"]).itemsize
    read = numpy.fromfile(each["file"], each["dtype"], size, offset=each["offset"])
    state[each["input"]] = read.reshape(each["shape"])
"""


_MASKS = """generator, drawn = numpy.random.RandomState(), described["generator"]
words = numpy.array(drawn["words"], "uint32")
generator.set_state(("MT19937", words, drawn["at"]))

def masks(given):  # dropout's, as PyTorch draws them
    for mask in described["masks"]:
        sizes = [[given[name].shape[axis] for name, axis in e["sizes"]] for e in mask["count"]]
        count = sum(e["times"] * math.prod(s) for e, s in zip(mask["count"], sizes))
        words = generator.randint(0, 2**32, (count, 2), "uint32").astype("uint64")
        yield (words[:, 0] << 32 | words[:, 1]) % 2**53 / 2**53 < mask["keep"]
"""


def card(inputs: list[str], outputs: list[str]) -> str:
    feed = "".join(f'feed["{name}"] = example["input.{name}"]\n' for name in inputs)
    first = "[0]" if len(outputs) == 1 else ""
    return (
        "import json, numpy, onnxruntime\n"
        'example = numpy.load("examples/one.npz")\n'
        f'session = onnxruntime.InferenceSession("{PREDICT}")\n'
        + _READ
        + "feed = {each.name: state[each.name] for each in session.get_inputs() "
        "if each.name in state}\n"
        f"{feed}outputs = session.run(None, feed){first}"
    )


def training_card(
    inputs: list[str],
    outputs: list[str],
    targets: list[str],
    directory: Path,
    dimensions: Dimensions = FIXED,
) -> str:
    """Returns lines with the learning rates of later epochs only where they differ."""
    described = read(directory)
    scheduled, drawn = described["scheduled"], MASKS in described
    rows = rows_of_step(dimensions, "k")
    feed = "".join(f', "{name}": {rows(f"input.{name}")}' for name in inputs)
    truths = ", ".join(f'"{each.removeprefix("target.")}": {rows(each)}' for each in targets)
    feed = f", {truths}{feed}" if truths else feed
    given = "".join(f', "{name}": data["input.{name}"]' for name in inputs)
    lines = [
        f"import json, {'math, ' if drawn else ''}numpy, onnxruntime",
        'data = numpy.load("examples/training.npz")',
        *_READ.splitlines(),
        *(_MASKS.splitlines() if drawn else []),
        f'step = onnxruntime.InferenceSession("{STEP}")',
        "taken, given = ([e.name for e in s] for s in (step.get_inputs(), step.get_outputs()))",
        *(["epoch = 0"] if scheduled else []),
        'for k, recorded in enumerate(data["loss"]):',
        '    rows = data["step"] == k',
        f'    rates = described["learning_rates"][{"epoch" if scheduled else 0}]',
        f"    feed = {{**state{feed}}}",
        '    feed |= {f"lr/{n}": numpy.array(rate) for n, rate in enumerate(rates)}',
        *(['    feed["masks"] = numpy.concatenate([*masks(feed)])'] if drawn else []),
        "    found = dict(zip(given, step.run(None, {name: feed[name] for name in taken})))",
        "    print(f\"loss {found.pop('loss'):.6f}, with the source {recorded:.6f}\")",
        '    state |= {name.removeprefix("new/"): array for name, array in found.items()}',
        *(['    epoch += int(data["ends_epoch"][k])'] if scheduled else []),
        'numpy.savez("trained.npz", **state)',
        "",
        f'predict = onnxruntime.InferenceSession("{PREDICT}")',
        f'feed = {{**numpy.load("trained.npz"){given}}}',
        "taken = [each.name for each in predict.get_inputs()]",
        "outputs = predict.run(None, {name: feed[name] for name in taken})"
        + ("[0]" if len(outputs) == 1 else ""),
    ]
    return "\n".join(lines)

"""Lines for the card."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .._card import rows_of_step
from ..dimensions import FIXED, Dimensions
from ._names import FILE, MODEL, OPTIMIZER, TRAIN
from ._screen_optimizer import read_optimizer


def card(inputs: list[str], outputs: list[str]) -> str:
    """Returns lines that predict."""
    arguments = ", ".join(f'torch.from_numpy(example["input.{name}"])' for name in inputs)
    return (
        "import numpy, torch\n"
        'example = numpy.load("examples/one.npz")\n'
        f'predict = torch.export.load("{FILE}").module()\n'
        "with torch.no_grad():\n"
        f"    outputs = predict({arguments})"
    )


def training_card(
    inputs: list[str],
    outputs: list[str],
    targets: list[str],
    directory: Path,
    dimensions: Dimensions = FIXED,
) -> str:
    """Returns lines that train on, only those that this model's optimizer needs."""
    saved = read_optimizer(directory / OPTIMIZER)
    lines = _train(saved, inputs, targets, rows_of_step(dimensions, "step"))
    return "\n".join([*_load(saved), *lines, *_predict(saved, inputs)])


def _load(saved: dict[str, Any]) -> list[str]:
    lines = [
        "import numpy, torch",
        "from torch.export.pt2_archive._package import load_pt2",
        "",
        'data = numpy.load("examples/training.npz")',
        f'saved = torch.load("{OPTIMIZER}", weights_only=True)',
        f'programs = load_pt2("{FILE}").exported_programs',
        f'train, predict = programs["{TRAIN}"].module(), programs["{MODEL}"].module()',
        "weights = dict(train.named_parameters())",
        'groups = [{"params": [weights[n] for n in names]} for names in saved["params"]]',
        f'optimizer = torch.optim.{saved["class"]}(groups, **saved["arguments"])',
    ]
    if saved["scheduler"]:
        kind = f"torch.optim.lr_scheduler.{saved['scheduler']['class']}"
        lines.append(f'scheduler = {kind}(optimizer, **saved["scheduler"]["arguments"])')
        lines.append('scheduler.load_state_dict(saved["scheduler"]["state"])')
    return [
        *lines,
        'optimizer.load_state_dict(saved["state"])',
        'torch.manual_seed(saved["seed"])',
    ]


def _train(
    saved: dict[str, Any], inputs: list[str], targets: list[str], rows: Callable[[str], str]
) -> list[str]:
    taken = [*(f"input.{name}" for name in inputs), *targets]
    arguments = ", ".join(f"torch.from_numpy({rows(name)})" for name in taken)
    lines = ['for step, recorded in enumerate(data["loss"]):']
    if "accumulate" in saved.get("stepping", {}):
        lines += _accumulated(arguments)
    else:
        lines += [
            '    rows = data["step"] == step',
            f"    loss = train({arguments})",
            "    train.zero_grad()",
            "    loss.backward()",
        ]
    if saved["clip_norm"] is not None:
        lines.append(
            '    torch.nn.utils.clip_grad_norm_(weights.values(), saved["clip_norm"])',
        )
    lines.append("    optimizer.step()")
    if "averaging" in saved.get("stepping", {}):
        lines += AVERAGED
    if saved["scheduler"]:
        lines += _advance(saved["scheduler"]["class"], "schedule_by" in saved.get("stepping", {}))
    return [*lines, '    print(f"loss {loss.item():.6f}, with the source {recorded:.6f}")', ""]


AVERAGED = [
    '    mean = saved["stepping"]["averaging"]',
    '    if mean["epochs"] + 1 >= mean["start"]:',
    '        share = 1 / (mean["steps"] + 1)',
    '        if mean["kind"] == "ema" and mean["steps"]:',
    '            share = 1 - mean["decay"]',
    "        averages = predict.state_dict()",
    "        for name, each in train.state_dict().items():",
    "            if name in averages and share < 1 and each.is_floating_point():",
    "                averages[name].lerp_(each, share)",
    "            elif name in averages:",
    "                averages[name].copy_(each)",
    '        mean["steps"] += 1',
    '    mean["epochs"] += int(data["ends_epoch"][step])',
]
"""After a step: what predicts is an average."""


def _accumulated(arguments: str) -> list[str]:
    return [
        '    every = numpy.flatnonzero(data["step"] == step)',
        '    most, least = saved["stepping"]["accumulate"]',
        "    train.zero_grad()",
        "    loss = 0",
        "    for rows in numpy.array_split(every, max(1, min(most, len(every) // least))):",
        f"        part = train({arguments}) * (len(rows) / len(every))",
        "        part.backward()",
        "        loss = loss + part.detach()",
    ]


def _advance(schedule: str, each_step: bool) -> list[str]:
    if schedule == "ReduceLROnPlateau":
        step = 'scheduler.step(float(data["val_loss"]))'
        return ['    if data["ends_epoch"][step]:', f"        {step}"]
    when = [] if each_step else ['data["ends_epoch"][step]']
    when += ["scheduler.last_epoch < scheduler.total_steps"] * (schedule == "OneCycleLR")
    step = "    scheduler.step()"
    return [f"    if {' and '.join(when)}:", f"    {step}"] if when else [step]


def _predict(saved: dict[str, Any], inputs: list[str]) -> list[str]:
    arguments = ", ".join(f'torch.from_numpy(data["input.{name}"])' for name in inputs)
    averaged = "averaging" in saved.get("stepping", {})
    return [
        *([] if averaged else ["predict.load_state_dict(train.state_dict(), strict=False)"]),
        f'torch.export.save(programs["{MODEL}"], "trained.pt2")',
        "with torch.no_grad():",
        f'    outputs = torch.export.load("trained.pt2").module()({arguments})',
    ]

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
    if "scaling" in saved.get("stepping", {}):
        lines.append('scaler = torch.amp.GradScaler("cpu")')
        lines.append('scaler.load_state_dict(saved["stepping"]["scaling"])')
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
    stepping = saved.get("stepping", {})
    if {"accumulate", "precision"} & stepping.keys():
        lines += _gradient(arguments, stepping)
    else:
        lines += [
            '    rows = data["step"] == step',
            f"    loss = train({arguments})",
            "    train.zero_grad()",
            "    loss.backward()",
        ]
    if "scaling" in stepping:
        lines.append("    scaler.unscale_(optimizer)")
    if saved["clip_norm"] is not None:
        lines.append(
            '    torch.nn.utils.clip_grad_norm_(weights.values(), saved["clip_norm"])',
        )
    scaled = ["    scaler.step(optimizer)", "    scaler.update()"]
    lines += scaled if "scaling" in stepping else ["    optimizer.step()"]
    if "averaging" in stepping:
        lines += AVERAGED
    if saved["scheduler"]:
        lines += _advance(saved["scheduler"]["class"], "schedule_by" in stepping)
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


MERGED = [
    'adapter, trained = saved["stepping"]["adapter"], train.state_dict()',
    'layers = [f"{each}." if each else "" for each in adapter["layers"]]',
    'merged = {f"{each}weight" for each in layers}',
    "own = {name: each for name, each in trained.items() if name not in merged}",
    "predict.load_state_dict(own, strict=False)",
    "for each in layers:",
    '    weight, left = trained[f"{each}weight"], trained[f"{each}adapter.left"]',
    '    added = (left @ trained[f"{each}adapter.right"].flatten(1)).reshape(weight.shape)',
    '    weight = (weight + added * adapter["scale"]).to(weight.dtype)',
    '    predict.state_dict()[f"{each}weight"].copy_(weight)',
]
"""What predicts is what was trained, merged with its adapter."""


def _gradient(arguments: str, stepping: dict[str, Any]) -> list[str]:
    most, least = stepping.get("accumulate", (1, 2))
    parts = f"numpy.array_split(every, max(1, min({most}, len(every) // {least})))"
    loss = f"part = train({arguments})"
    if "precision" in stepping:
        narrow = f'        with torch.autocast("cpu", torch.{stepping["precision"]}):'
        body = [narrow, f"            {loss}"]
    else:
        body = [f"        {loss}"]
    scaled = "scaler.scale(part)" if "scaling" in stepping else "part"
    return [
        '    every = numpy.flatnonzero(data["step"] == step)',
        "    train.zero_grad()",
        "    loss = 0",
        f"    for rows in {parts if most > 1 else '[every]'}:",
        *body,
        "        part = part * (len(rows) / len(every))",
        f"        {scaled}.backward()",
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
    shared = ["predict.load_state_dict(train.state_dict(), strict=False)"]
    if "averaging" in saved.get("stepping", {}):
        shared = ['if not saved["stepping"]["averaging"]["steps"]:', f"    {shared[0]}"]
    if "adapter" in saved.get("stepping", {}):
        shared = MERGED
    return [
        *shared,
        f'torch.export.save(programs["{MODEL}"], "trained.pt2")',
        "with torch.no_grad():",
        f'    outputs = torch.export.load("trained.pt2").module()({arguments})',
    ]

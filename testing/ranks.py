"""Run as `python -m testing.ranks FOLDER`: writes what one rank, and what two ranks with FSDP, save
by torch.distributed.checkpoint, after the same steps, to FOLDER/one and FOLDER/two."""

import multiprocessing
import sys
import warnings
from pathlib import Path

import torch
from torch import distributed, nn
from torch.distributed import checkpoint
from torch.distributed.checkpoint.state_dict import get_state_dict

EPOCH = 3


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 2))


def optimizer(module: nn.Module) -> torch.optim.Optimizer:
    """Returns one with two groups, as weight decay makes them."""
    flat = [each for each in module.parameters() if each.ndim < 2]
    matrices = [each for each in module.parameters() if each.ndim > 1]
    groups = [{"params": matrices}, {"params": flat, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=0.01)


def take_steps(module: nn.Module, steps: torch.optim.Optimizer) -> None:
    for seed in range(2):
        torch.manual_seed(seed)
        module(torch.randn(8, 4)).square().sum().backward()
        steps.step()
        steps.zero_grad()


def save(folder: Path, rank: int, ranks: int) -> None:
    if ranks > 1:
        at = f"file://{folder}.ranks"
        distributed.init_process_group("gloo", init_method=at, rank=rank, world_size=ranks)
    module = net()
    if ranks > 1:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        fully_shard(module, mesh=init_device_mesh("cpu", (ranks,)))
    steps = optimizer(module)
    take_steps(module, steps)
    weights, state = get_state_dict(module, steps)
    saved = {"model": weights, "optimizer": state, "epoch": EPOCH, "more": {"name": "a", "n": 2}}
    checkpoint.save(saved, checkpoint_id=folder)
    if ranks > 1:
        distributed.destroy_process_group()


def main(folder: Path) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    save(folder / "one", 0, 1)
    forked = multiprocessing.get_context("fork")
    ranks = [forked.Process(target=save, args=(folder / "two", rank, 2)) for rank in range(2)]
    for each in ranks:
        each.start()
    for each in ranks:
        each.join()
    sys.exit(max(each.exitcode or 0 for each in ranks))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

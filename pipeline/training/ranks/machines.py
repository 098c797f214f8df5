"""Ranks on several machines that share a disk: each machine starts its own, and they meet at the
first one's. Which machine a rank is on changes no bit."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import provenance
from pipeline.config.distributed_params import Distributed
from pipeline.errors import CannotRun, IncompleteArtifact
from pipeline.frameworks.contract import RanksModule
from pipeline.project import PARAMS, TRAIN
from pipeline.run import dvc_file

MEETING = ("MASTER_ADDR", "MASTER_PORT")
"""Variables, of torch's, that say where: an address of the first machine, and a free port."""


@dataclass(frozen=True)
class Machine:
    """The machine of this process, as one of those that train."""

    node: int
    """Its number, from 0, which `train` runs on."""
    ranks: int
    world: int
    meeting: tuple[str, ...] = ()
    """Address and port; none of a machine that is the only one."""

    @property
    def first(self) -> int:
        """Returns its first rank."""
        return self.node * self.ranks

    @property
    def words(self) -> list[str]:
        """Returns what it is in words of a command."""
        return [str(self.node), str(self.ranks), str(self.world), *self.meeting]

    @staticmethod
    def of_words(words: list[str]) -> "Machine":
        node, ranks, world = map(int, words[:3])
        return Machine(node, ranks, world, tuple(words[3:]))


def machine(distributed: Distributed, node: int = 0) -> Machine:
    """Returns what this machine is. Raises CannotRun where nobody says where the ranks meet."""
    ranks = distributed.processes // distributed.nodes
    if distributed.nodes == 1:
        return Machine(node, ranks, ranks)
    meeting = tuple(os.environ.get(name, "") for name in MEETING)
    if not all(meeting) or not meeting[1].isdigit():
        raise CannotRun(
            f"{' and '.join(MEETING)}: found {' and '.join(map(repr, meeting))} with "
            f"train.distributed.nodes={distributed.nodes}, expected an address of the first "
            "machine and a free port of its, the same on all; or set train.distributed.nodes=1"
        )
    return Machine(node, ranks, distributed.processes, meeting)


def take_place(own: Machine) -> None:
    """Sets torchrun's variables, which tell of this machine's ranks, to those of all."""
    if own.meeting:
        os.environ |= dict(zip(MEETING, own.meeting, strict=True))
        os.environ["RANK"] = str(own.first + int(os.environ["LOCAL_RANK"]))
        os.environ["WORLD_SIZE"] = str(own.world)
        os.environ.pop("TORCHELASTIC_USE_AGENT_STORE", None)  # the first rank has the store


def demand_alike(ranks: RanksModule[Any]) -> None:
    """Raises IncompleteArtifact where another machine has other params, data or code, of which it
    would compute its part."""
    paths = [str(PARAMS), *dvc_file.deps(TRAIN)]
    mine = {path: provenance.digest(Path(path)) for path in paths if Path(path).exists()}
    every = ranks.gathered(mine) or [mine]
    apart = [
        (rank, p) for rank, its in enumerate(every) for p in paths if its.get(p) != mine.get(p)
    ]
    if differing := ranks.of_first(apart):
        rank, path = differing[0]
        raise IncompleteArtifact(
            f"{path}: differs on the machine of rank {rank} from the first one's, expected the "
            "same on all; check out the same commit, and run `dvc pull` there"
        )

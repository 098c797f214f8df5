"""`python -m pipeline.join 1`: take part in the training that `train` begins on another machine.

For train.distributed.nodes of two and more: run on each machine but the first, from 1 on, in a
clone whose artifacts/ lies on a disk that all share. Exit code 0: trained to the end.
"""

import argparse
import os
import sys
from pathlib import Path

from pipeline.config.params import TrainParams
from pipeline.config.reading import read
from pipeline.errors import ParamsError, PipelineError
from pipeline.project import PREPARE, TRAIN
from pipeline.run import dvc_file, signals
from pipeline.run.arguments import params_file
from pipeline.text import escaped_error


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m pipeline.join", description=__doc__)
    parser.add_argument("node", type=int, help="number of this machine; 0 is that of `train`")
    node = parser.parse_args(arguments).node
    try:
        signals.install()
        join(node)
    except PipelineError as error:
        print(f"error: join: {escaped_error(error)}", file=sys.stderr)
        return 1
    except signals.Interrupted as end:
        print(f"join: ended by {end}", file=sys.stderr)
        return 128 + end.number
    return 0


def join(node: int) -> None:
    """Starts this machine's ranks, and returns when the training has come to its end."""
    params = read(TrainParams, params_file())
    nodes = params.train.distributed.nodes
    if not 0 < node < nodes:
        raise ParamsError(
            f"train.distributed.nodes: found {nodes} for machine {node}, expected more than "
            f"{max(node, 1)}: the first, 0, runs `dvc repro`, and the others, from 1 on, join"
        )
    from pipeline.training.ranks.launch import NOT_KNOWN, run

    of = {maker: Path(path) for path, maker in dvc_file.makers().items()}
    run(of[PREPARE], of[TRAIN], NOT_KNOWN, params.train, node)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)

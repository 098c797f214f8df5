"""`python -m pipeline model=torch_cnn train.lr=0.01`: compose as Hydra does, then `dvc repro`.

The command line and conf/ say all, as under `dvc exp run -S`; what stood in params.yaml is
replaced.
"""

import json
import math
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.config.composition import compose_conf
from pipeline.config.merge import Lock, composed, merge, read_lock, with_own, write_lock
from pipeline.config.option_files import quoted
from pipeline.config.params import Params
from pipeline.config.reading import flatten, read
from pipeline.config.train_params import DIGEST
from pipeline.config.yaml_text import dump_yaml, load_yaml
from pipeline.data import elsewhere
from pipeline.errors import CannotRun, PipelineError
from pipeline.files import translate_os_errors, write_atomically
from pipeline.project import CONF, CONF_LOCK, PARAMS, ROOT
from pipeline.provenance import git
from pipeline.run import killed_experiment
from pipeline.run.children import end_with_parent, run_to_its_end
from pipeline.run.lock import take_turn
from pipeline.run.signals import Interrupted

DVC = "pipeline.run.dvc"


def main(arguments: list[str], dvc: str = DVC) -> int:
    """Runs plain overrides here; what only Hydra knows (--help, --cfg, -m) goes through it.

    `dvc` is the module that runs the stages.
    """
    end_with_parent()
    os.chdir(ROOT)
    if arguments[1:] == ["install=bash"]:
        print(Path(__file__).with_name("completion.bash").read_text(), end="")
        return 0
    killed_experiment.warn()
    try:
        if any(argument.startswith("-") for argument in arguments):
            return through_hydra(arguments)
        demand_repository()
        arguments = _with_checkpoint(arguments)
        values, lock = composed(CONF, arguments)
        return reproduce(values, arguments, lock, dvc)
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except Interrupted as end:
        return 128 + end.number


def _with_checkpoint(arguments: list[str]) -> list[str]:
    """Returns the arguments with a path in train.start replaced by the digest of what lies there,
    which is taken in. Raises DataError, one line."""
    starts = [each for each in arguments if each.startswith("train.start=")]
    path = starts[-1].partition("=")[2] if starts else "null"
    if path == "null" or DIGEST.fullmatch(path):
        return arguments
    from pipeline.adopt import take_in

    digest, _ = take_in(Path(path).expanduser())
    return [f"train.start={digest}" if each in starts else each for each in arguments]


def demand_repository() -> None:
    """Raises CannotRun outside of a git repository, which DVC and the statements need."""
    if git.run(ROOT, "rev-parse", "--git-dir").status:
        raise CannotRun(
            f"{ROOT}: no git repository, which DVC and the lineage need; run "
            "`git init && git add --all && git commit --message start`"
        )


def through_hydra(arguments: list[str]) -> int:
    """Runs a Hydra app whose job is this program again with plain overrides, in the work tree; a
    launcher of conf/hydra/launcher/ has jobs of its own, in clones.

    Returns the worst exit code.
    """
    import hydra
    from hydra.core.hydra_config import HydraConfig

    from pipeline.config.hydra_plugins import count

    count.register()
    sys.path.append(str(ROOT / "pipeline/sweep"))
    sys.argv[1:] = quoted(CONF, arguments)

    if {"--cfg", "-c"} & set(arguments):
        compose_conf(CONF, [a for a in arguments if "=" in a or a.startswith("~")])
    codes: list[int] = []

    @hydra.main(config_path=str(ROOT / CONF), config_name="config", version_base="1.3")
    def app(_: Any) -> float:
        overrides = list(HydraConfig.get().overrides.task)
        print(f"\n{' '.join(overrides)}", flush=True)
        codes.append(run_to_its_end([sys.executable, "-m", "pipeline", *overrides]))
        return math.nan if codes[-1] else _objective()

    try:
        app()
    finally:
        codes.append(_end_of_sweep())
    return max(codes)


def _objective() -> float:
    """Returns what an optimising sweeper goes by: checkpoint.metric at the chosen epoch."""
    metric = load_yaml(PARAMS.read_text(), str(PARAMS))["checkpoint"]["metric"]
    metrics: dict[str, float] = json.loads(Path("artifacts/checkpoint/metrics.json").read_text())
    return metrics[metric]


def _end_of_sweep() -> int:
    """Prints what the jobs in clones came to. Returns 1 where one is not finished, else 0."""
    if "pipeline.sweep.session" not in sys.modules:
        return 0
    from pipeline.sweep import session

    sweep = session.current()
    if sweep.outcomes:
        print(f"\n{sweep.summary()}", flush=True)
    return 1 if sweep.failed else 0


def reproduce(values: dict[str, Any], overrides: list[str], lock: Lock, dvc: str = DVC) -> int:
    """Writes params.yaml, with the options it is composed of and the user's own values beside
    them, and runs the pipeline.

    Returns DVC's exit code.
    """
    read(Params, values)
    with translate_os_errors(ROOT):
        turn = take_turn()
    current = load_yaml(PARAMS.read_text(), str(PARAMS)) if PARAMS.is_file() else {}
    if values != current:
        _print_replaced(current, values, overrides)
        write_atomically(PARAMS, dump_yaml(values))
    _remember_options(with_own(lock, values), values != current)
    streamed = elsewhere.is_elsewhere(Path("data"), values["data"]["file"])
    missing = ["--allow-missing"] if streamed else []
    command = [sys.executable, "-m", dvc, "repro", *missing]
    code = run_to_its_end(command, _environment(), turn)
    if code == 0:
        from pipeline.summary import summary

        print(summary(), flush=True)
    return code


def _print_replaced(current: dict[str, Any], values: dict[str, Any], overrides: list[str]) -> None:
    """Names the values of params.yaml that were the user's own and are not on the command line."""
    last = read_lock(CONF_LOCK)
    own = merge(CONF, current, last)[1].own if last else {}
    named = {override.lstrip("+~").partition("=")[0] for override in overrides}
    new = flatten(values)
    for path, value in own.items():
        if path not in named and new.get(path) != value:
            print(
                f"params.yaml: your own {path}={value} is replaced; to keep it, add {path}={value}"
            )


def _remember_options(lock: Lock, changed: bool) -> None:
    """Leaves conf.lock.yaml alone where it has the same options, and params their values."""
    last = read_lock(CONF_LOCK)
    if last is None or changed or last.options != lock.options:
        digests = (last.parent_code, last.command_code) if last else (None, None)
        write_lock(CONF_LOCK, replace(lock, parent_code=digests[0], command_code=digests[1]))


def _environment() -> dict[str, str]:
    """Returns an environment in which the stages' `python` is the one that runs here."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**os.environ, "PATH": path}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

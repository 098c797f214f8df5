"""Hydra looks for plug-ins in packages of this name, which has no __init__.py so that others are
found too; `python -m pipeline` says where this one is."""

from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf


class Clones(Launcher):
    """This launcher hands jobs to an engine, each to run in a clone of its own."""

    def __init__(self, engine: str, **options: Any) -> None:
        self.engine = engine
        self.options = options

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Takes what Hydra hands a launcher, but for the task function: that works in the one work
        tree."""
        self.arguments = list(config.hydra.overrides.task)

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        from pipeline.sweep import session

        options = OmegaConf.to_container(OmegaConf.create(self.options), resolve=True)
        assert isinstance(options, dict)
        named = {str(name): value for name, value in options.items()}
        return session.current().run(self.arguments, job_overrides, self.engine, named)

"""Optuna chooses values by what the jobs before came to, asked for some and told of them."""

from collections.abc import Sequence
from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class Optuna(Sweeper):
    """This sweeper asks Optuna for jobs, and has Hydra's launcher run them."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        from hydra.core.plugins import Plugins

        self.config = config
        self.hydra_context = hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        from hydra._internal.core_plugins.basic_launcher import BasicLauncher

        from pipeline.sweep import session, study
        from pipeline.sweep.pictures import drawn

        launcher, tried = self.launcher, 0
        assert launcher is not None
        current = session.current()
        in_clones = not isinstance(launcher, BasicLauncher)
        options = study.Options(in_clones=in_clones, **self.options)

        def launch(jobs: Sequence[Sequence[str]], watch: Any) -> list[Any]:
            nonlocal tried
            current.watch = watch
            returned = launcher.launch(jobs, initial_job_idx=tried)
            tried += len(jobs)
            return [each.return_value for each in returned]

        def show(chosen: Any) -> None:
            if current.parent:
                current.parent.show(*drawn(chosen, options.seed), step=tried)

        return study.run(arguments, launch, show, options)

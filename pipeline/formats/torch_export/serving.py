"""MLflow's PyTorch loader takes and gives one array without a name."""

from importlib.metadata import version

from ..contract import Flavor


def flavor() -> Flavor:
    return Flavor(
        name="pytorch",
        content={"model_data": ".", "pytorch_version": version("torch")},
        loader="mlflow.pytorch",
        data=".",
        runtime="torch",
        takes_names=False,
        first=1,
    )

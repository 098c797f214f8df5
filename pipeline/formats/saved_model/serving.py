"""MLflow serves the SavedModel's own signature, inputs by name."""

from ..contract import Flavor


def flavor() -> Flavor:
    return Flavor(
        name="tensorflow",
        content={
            "saved_model_dir": "saved_model",
            "meta_graph_tags": ["serve"],
            "signature_def_key": "serving_default",
        },
        loader="mlflow.tensorflow",
        data=".",
        runtime="tensorflow",
        takes_names=True,
        first=1,
    )

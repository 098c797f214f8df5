"""What is read of MLflow's tables without MLflow is what the installed MLflow writes."""

from pathlib import Path
from urllib.parse import urlparse

import pytest

from pipeline.resolve.logged import KEY
from pipeline.resolve.mlflow_tables import Local

DIGEST = "ab" * 32


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """A store with a finished run, its logged model and a registered version with an alias."""
    from mlflow import MlflowClient

    root = tmp_path_factory.mktemp("store")
    uri = f"sqlite:///{root}/mlflow.db"
    client = MlflowClient(uri)
    place = (root / "mlartifacts").as_uri()
    experiment = client.create_experiment("digits", artifact_location=place)
    run = client.create_run(experiment, tags={KEY: DIGEST}, run_name="first").info
    model = client.create_logged_model(
        experiment, name="torch_mlp", source_run_id=run.run_id, tags={KEY: DIGEST}
    )
    client.set_terminated(run.run_id)
    client.create_registered_model("digits")
    source = f"models:/{model.model_id}"
    with pytest.MonkeyPatch.context() as patch:  # by which the registry finds the logged model
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        client.create_model_version("digits", source, run.run_id, model_id=model.model_id)
    client.set_registered_model_alias("digits", "champion", "1")
    place = Path(urlparse(model.artifact_location).path)
    place.mkdir(parents=True)
    return Local(root / "mlflow.db"), run.run_id, model.model_id, place


def test_a_run_names_its_logged_model(logged):
    store, run, model, place = logged
    found = store.run(run)
    assert (found.run, found.name, found.digest, found.place) == (run, "torch_mlp", DIGEST, place)
    assert store.model(model).run == run
    assert store.run("0" * 32) is None and store.model("m-0") is None


def test_a_complete_model_names_its_runs(logged):
    store, run, model, place = logged
    (found,) = store.runs(DIGEST)
    assert (found.id, found.name, found.status, found.deleted) == (run, "first", "FINISHED", False)
    assert found.models == {model: place} and found.versions == [("digits", 1)]
    assert store.directories(DIGEST[:8]) == [place]
    assert store.runs("cd" * 32) == store.directories("cd" * 32) == []


@pytest.mark.parametrize("version", ["1", "@champion"])
def test_a_version_names_its_source_and_run(logged, version):
    store, run, model, _ = logged
    assert store.version("digits", version) == (f"models:/{model}", run)
    assert store.version("digits", "2") is None and store.version("digits", "@nobody") is None

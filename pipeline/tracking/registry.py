"""The registered model: a version for each complete model, and an alias that names one of them."""

import json
import math
from functools import partial
from typing import TYPE_CHECKING

from pipeline.config.params import Tracking
from pipeline.resolve.logged import KEY
from pipeline.tracking.content import RunContent
from pipeline.tracking.requests import gone_is_fine, retry_on_clash
from pipeline.tracking.store import model_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

ALIAS = "verified"
VERSIONS = "mlflow.modelVersions"


def register(client: "MlflowClient", tracking: Tracking, content: RunContent, run: "Run") -> None:
    """Returns the version of this complete model, made if there is none; the alias follows as
    tracking.promote says.

    What did not pass verify never comes here. Prints what became of it.
    """
    if name := tracking.register:
        version = version_of(client, name, run) or _made(client, name, content, run)
        _show(client, version, model_of(run))
        outcome = _promote(client, version, content, tracking.promote)
        print(f"MLflow: {name} version {version.version}; {outcome}")


def version_of(client: "MlflowClient", name: str, run: "Run") -> "ModelVersion | None":
    """Returns the first version; two machines, or a request whose answer was lost, may have made
    another."""
    query = f"name = '{name}' and run_id = '{run.info.run_id}'"
    every = sorted(client.search_model_versions(query), key=lambda each: int(each.version))
    for twin in every[1:]:
        with gone_is_fine():
            client.delete_model_version(name, twin.version)
    return every[0] if every else None


def _made(client: "MlflowClient", name: str, content: RunContent, run: "Run") -> "ModelVersion":
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    client.create_model_version(
        name,
        f"models:/{model_of(run)}",
        run_id=run.info.run_id,
        tags={KEY: content.digest},
        description=run.data.tags.get("mlflow.note.content"),
        model_id=model_of(run),
    )
    version = version_of(client, name, run)
    assert version, f"{name}: a version was made of run {run.info.run_id}, and is not found again"
    return version


def _show(client: "MlflowClient", version: "ModelVersion", model_id: str) -> None:
    """Sets the tag from which the logged model's page reads its versions; MLflow's own
    register_model sets it in the client."""
    named = json.loads(client.get_logged_model(model_id).tags.get(VERSIONS, "[]"))
    others = [each for each in named if each["name"] != version.name]
    every = [*others, {"name": version.name, "version": str(version.version)}]
    if every != named:
        tags = {VERSIONS: json.dumps(every)}
        retry_on_clash(lambda: client.set_logged_model_tags(model_id, tags))


def _promote(
    client: "MlflowClient", version: "ModelVersion", content: RunContent, promote: str
) -> str:
    """Moves the alias as tracking.promote says; returns what it did, in words."""
    named = client.get_registered_model(version.name).aliases.get(ALIAS)
    if str(named) == str(version.version):
        return f"@{ALIAS} names it"
    stays = "names none" if named is None else f"stays at version {named}"
    if promote == "never":
        return f"@{ALIAS} {stays} (tracking.promote=never)"
    moved = f"@{ALIAS} names it now"
    if named is not None:
        worse, figures = _compared(client, version.name, str(named), content)
        if worse and promote == "better":
            return f"@{ALIAS} {stays}: {figures}; tracking.promote=always moves it"
        moved = f"@{ALIAS} moved here from version {named}: {figures}"
    retry_on_clash(partial(client.set_registered_model_alias, version.name, ALIAS, version.version))
    return moved


def _compared(
    client: "MlflowClient", name: str, named: str, content: RunContent
) -> tuple[bool, str]:
    """Returns whether this complete model is worse than the version that the alias names, and the
    figures.

    What cannot be compared counts as worse: the alias stays where somebody relies on it.
    """
    chosen = content.params["checkpoint"]
    metric = "test/" + chosen["metric"].rpartition("/")[2]
    run_id = client.get_model_version(name, named).run_id
    logged = client.get_run(run_id).data.metrics if run_id else {}
    before, now = logged.get(metric, math.nan), content.final.get(metric, math.nan)
    fine = now >= before if chosen["mode"] == "max" else now <= before
    return not fine, f"{metric} {now:.6g}, there {before:.6g}"

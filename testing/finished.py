"""Projects in which every stage up to verify has run, made once in a run of the tests."""

from pathlib import Path

import pytest

from testing.project import Project, make_project
from testing.shared import shared

STAGES = ("prepare", "train", "checkpoint", "export-complete", "verify")
TORCH_FORMATS = ("torch_export", "onnx", "torch_pickle")
MODELS = {
    # Convolutions, batch norm, dropout, a loss of its own, AdamW, a schedule and clipping.
    "torch_cnn": (
        *("train.epochs=1", "train.clip_norm=1.0"),
        f"export.formats=[{','.join(TORCH_FORMATS)}]",
    ),
    "keras_mlp": (),
    "keras_custom": (),
    "keras_functional": (),
    "keras_text_tabular": ("data=parcels",),
}
TOKEN = "hf_4fE2kQz0nLr7TtXw9sYbVvCc"
TELLING = {
    "HF_TOKEN": TOKEN,
    "AWS_SECRET_ACCESS_KEY": TOKEN,
    "USER": "janedoe-the-user",
    "LOGNAME": "janedoe-the-user",
    "HOSTNAME": "janes-machine",
}
IN_A_TELLING_PLACE = ("torch_cnn", "keras_custom")
HOME = "jane-doe-home"


def finished(factory: pytest.TempPathFactory, model: str) -> Project:
    """Returns the project of a model in every format that holds it. Read it, do not change it.

    The other framework cannot be imported by its stages. Those of IN_A_TELLING_PLACE are below a
    real `dvc repro`, whose whole environment tells who ran it and where.
    """

    def make(folder: Path) -> None:
        project = make_project(folder / HOME / "project")
        project.params("experiment=smoke", f"model={model}", *MODELS[model])
        environ = {"PYTHONPATH": str(_refusing(folder, model))}
        if model in IN_A_TELLING_PLACE:
            environ |= TELLING | {"HOME": str(folder / HOME)}
            project.run("dvc", "repro", STAGES[-1], fresh=True, **environ)
        for name in STAGES if model not in IN_A_TELLING_PLACE else ():
            project.stage(name, **environ)

    return Project(shared(factory, model, make) / HOME / "project")


def refusing(project: Project) -> Path:
    """The folder on the stages' path that keeps the other framework out."""
    return project.root.parent.parent / "refusing"


def _refusing(folder: Path, model: str) -> Path:
    (folder / "refusing").mkdir()
    for name in ("torch",) if model.startswith("keras") else ("tensorflow", "keras"):
        text = f"raise ImportError('{name} is refused')\n"
        (folder / "refusing" / f"{name}.py").write_text(text)
    return folder / "refusing"

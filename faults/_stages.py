"""The stages' commands, as dvc.yaml has them, without DVC."""

from pipeline.config.yaml_text import load_yaml
from testing.project import Project


def command(project: Project, stage: str) -> list[str]:
    stages = load_yaml(project.read("dvc.yaml"), "dvc.yaml")["stages"]
    words: list[str] = stages[stage]["cmd"].split()
    return words

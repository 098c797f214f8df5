"""What the README claims."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.config.yaml_text import load_yaml
from testing import preloaded
from testing.project import ROOT

README = (ROOT / "README.md").read_text()


def fenced(language: str) -> list[str]:
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    return [text for kind, text in blocks if kind == language]


def test_the_picture_names_the_stages_in_order():
    picture = fenced("")[0]
    stages = list(load_yaml((ROOT / "dvc.yaml").read_text(), "dvc.yaml")["stages"])
    assert re.findall(r"(?<=──> )[a-z-]+(?= ──>| )", picture)
    found = [name for name in re.findall(r"[a-z]+(?:-[a-z]+)*", picture) if name in stages]
    assert found == stages


def test_the_tree_is_what_a_complete_model_holds(trained):
    tree = next(block for block in fenced("") if "model.pt2 " in block)
    listed = {line.split()[0].rstrip("/") for line in tree.splitlines() if line.strip()}
    present = {path.name for path in (trained.root / "artifacts/complete-model").iterdir()}
    assert present <= listed
    assert listed - present == {"model.onnx", "source.patch"}


def layout() -> list[Path]:
    """What the layout names; what is indented lies in the folder above it, and what is indented
    further goes on with what is said of it."""
    paths: list[Path] = []
    block = next(block for block in fenced("") if "dvc.yaml  " in block)
    for line in re.findall(r"^ {0,2}\S.*", block, re.MULTILINE):
        above = next(p for p in reversed(paths) if p.parent == ROOT) if line[0] == " " else ROOT
        paths.append(above / line.split()[0])
    return paths


def test_the_layout_names_files_that_exist():
    for path in layout():
        assert path.exists(), path


def test_every_folder_of_the_package_that_is_no_command_is_in_the_layout():
    rooms = {path for path in (ROOT / "pipeline").iterdir() if (path / "__init__.py").is_file()}
    commands = {path for path in rooms if (path / "__main__.py").is_file()}
    assert {path for path in layout() if path.parent.name == "pipeline"} == rooms - commands


def test_every_section_that_it_sends_to_is_there():
    headings = re.findall(r"^##+ (.*)$", README, re.MULTILINE)
    there = {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}
    named = set(re.findall(r"\]\(#([^)]+)\)", README))
    assert named and named <= there


def test_the_groups_are_those_of_conf():
    groups = sorted(path.name for path in (ROOT / "conf").iterdir() if path.is_dir())
    line = next(line for line in README.splitlines() if "groups:" in line and "conf/" in line)
    assert sorted(re.findall(r"[a-z]+", line.split("groups:")[1])) == groups


def test_every_make_target_it_names_exists():
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = set(re.findall(r"make ([a-z-]+)", README))
    assert named <= set(targets)
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True).stdout
    assert set(re.findall(r"make ([a-z-]+)", listed)) == set(targets) - {"help"} | {"help"}


def test_every_command_it_shows_has_the_options_it_shows():
    shown = re.findall(r"python -m pipeline\.(\w+)((?: [^`|#\n]+)?)", README)
    wanted: dict[str, set[str]] = {}
    for command, words in shown:
        wanted.setdefault(command, set()).update(re.findall(r"(?<= )--[a-z-]+", words))
    assert {"--html", "--key"} <= set().union(*wanted.values())
    for command, options in wanted.items():
        listed = subprocess.run(
            [sys.executable, "-m", f"pipeline.{command}", "--help"],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert listed.returncode == 0, command
        assert options <= set(re.findall(r"--[a-z-]+", listed.stdout)), command


def test_every_override_it_shows_composes():
    from pipeline.config.composition import compose_conf

    shown = re.findall(r"python -m pipeline ((?:[a-z_.]+=[\w.]+ ?)+)", README)
    shown += [
        " ".join(re.findall(r"-S (\S+)", line)) for line in README.splitlines() if "-S" in line
    ]
    assert len(shown) >= 3
    for overrides in shown:
        assert compose_conf(ROOT / "conf", overrides.split())


@pytest.mark.parametrize("block", fenced("python"), ids=["pytorch", "onnxruntime", "training"])
def test_the_lines_that_load_or_train_the_model_run_as_they_stand(trained, copy_of, block):
    """From inside the directory and with nothing of this repository at hand."""
    ast.parse(block)
    project = copy_of(trained)
    if "onnx" in block:
        from testing.project import TINY

        project.params(*TINY, "export.formats=[torch_export,onnx]")
        project.stage("export-complete")
    directory = project.root / "artifacts/complete-model"
    done = preloaded.run("pytorch", directory, "-I", "-c", block)
    assert done.returncode == 0, done.stderr
    assert "-" in done.stdout


def test_ci_runs_the_two_commands_of_the_readme():
    assert "make check test" in Path(ROOT / ".ci/run").read_text()

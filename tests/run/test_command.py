"""What a command runs is code: its files, what they import of the repository, and what is named."""

import shutil
from pathlib import Path

import pytest

from pipeline.errors import ParamsError
from pipeline.provenance import git
from pipeline.run import command, parent
from testing.project import ROOT


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    for name, text in {
        "own/train.py": "import helper\nfrom src.nets import small\nimport models.net, numpy\n",
        "own/helper.py": "def late():\n    from . import beside\n",
        "own/beside.py": "import os\n",
        "own/unused.py": "",
        "src/__init__.py": "",
        "src/nets/__init__.py": "from ..sizes import SIZE\n",
        "src/nets/small.py": "",
        "src/sizes.py": "SIZE = 1\n",
        "models/net.py": "",
        "settings.toml": "a = 1\n",
        "artifacts/data/made.py": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def code(text: str, *named: str) -> list[str]:
    params = {"train": {"command": text, "code": list(named), "parent": None, "start": None}}
    found = command.code(params)
    return [path for path in found if path != command.start.READERS]


def test_a_script_and_all_that_it_imports_of_the_repository_are_code(repository):
    """But for models/, which is a dep of its own."""
    assert code("python own/train.py --out {output} --config=settings.toml") == [
        *("own/beside.py", "own/helper.py", "own/train.py", "settings.toml", "src/__init__.py"),
        *("src/nets/__init__.py", "src/nets/small.py", "src/sizes.py"),
    ]


def test_a_module_is_found_as_python_finds_it(repository):
    found = code("python -m src.nets.small {output}")
    assert found == ["src/nets/small.py"]


def test_what_is_named_beside_is_code_and_a_folder_holds_what_lies_in_it(repository):
    assert code("python own/train.py {output}", "src/", "settings.toml") == [
        *("own/beside.py", "own/helper.py", "own/train.py", "settings.toml", "src"),
    ]


def test_without_a_command_there_is_none():
    params = {"train": {"command": None, "code": [], "parent": None, "start": None}}
    assert parent.code_of_training(params) == []
    assert command.code_digest(params) is None


@pytest.mark.parametrize(
    ("text", "named", "line"),
    [
        ("python own/trian.py {output}", (), "train.command: found own/trian.py, expected a file"),
        ("python /tmp/x.py {output}", (), "train.command: found /tmp/x.py, expected a file in"),
        ("python ../x.py {output}", (), "train.command: found ../x.py, expected a file in"),
        ("x {output}", ("scr",), "train.code: found scr, expected a file or folder in"),
        ("x {output}", ("artifacts/data",), "train.code: found artifacts/data, expected"),
        ("x {output}", ("/etc",), "train.code: found /etc, expected a file or folder in"),
    ],
)
def test_code_that_is_not_there_or_elsewhere_is_one_line(repository, text, named, line):
    with pytest.raises(ParamsError) as fault:
        code(text, *named)
    assert line in str(fault.value)


def test_code_that_is_no_python_is_one_line(repository):
    (repository / "own/helper.py").write_text("def x(:\n")
    with pytest.raises(ParamsError, match=r"own/helper\.py: no Python: "):
        code("python own/train.py {output}")


def test_code_that_a_statement_would_lose_is_refused(repository):
    """Neither git has it, nor the patch, which takes up new files of Python alone."""
    git.run(repository, "init", "--quiet")
    (repository / ".gitignore").write_text("hidden.py\n")
    (repository / "own/hidden.py").write_text("")
    git.run(repository, "add", "own/train.py")
    command.demand_recorded(["own/train.py", "own/helper.py"])
    for lost in ("settings.toml", "own/hidden.py"):
        with pytest.raises(ParamsError, match=rf"found {lost}, which git does not track"):
            command.demand_recorded([lost])
    git.run(repository, "add", "settings.toml")
    command.demand_recorded(["settings.toml"])


def test_what_can_change_a_result_is_set_in_the_environment():
    train = {"seed": 2**32 + 5, "threads": 2, "device": "cpu"}
    variables = command.variables(train)
    assert variables["PYTHONHASHSEED"] == "5"
    assert variables["SEED"] == variables["PL_GLOBAL_SEED"] == str(2**32 + 5)
    assert variables["OMP_NUM_THREADS"] == variables["TF_NUM_INTRAOP_THREADS"] == "2"
    assert variables["CUDA_VISIBLE_DEVICES"] == ""
    assert "CUDA_VISIBLE_DEVICES" not in command.variables({**train, "device": "cuda"})

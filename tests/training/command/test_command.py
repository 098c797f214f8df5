"""A command writes to its folder, and how it ends is one line."""

import os
import pickle
from pathlib import Path

import pytest

from pipeline import foreign
from pipeline.errors import CannotRun, ModelError, PipelineError
from pipeline.training import command
from pipeline.training.command import left

OUTPUT, DATA = Path("artifacts/train"), Path("artifacts/data")
SHOWS = """
import json, os, sys
names = ("SEED", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "PYTHONPATH")
with open(sys.argv[1] + "/shown.json", "w") as file:
    json.dump({"words": sys.argv[1:], "at": os.getcwd(), **{n: os.environ[n] for n in names}}, file)
"""


def shown() -> dict:
    import json

    return json.loads((OUTPUT / command.FOLDER / "shown.json").read_text())


def fault_of(params) -> str:
    with pytest.raises(PipelineError) as fault:
        command.train(DATA, OUTPUT, params)
    assert "\n" not in str(fault.value)
    return str(fault.value)


def test_it_runs_in_the_root_with_its_words_and_what_is_set(command_of, monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    text = "python mine.py {output} {data} '{resume}' {seed}"
    params = command_of(SHOWS, text, arguments={"units": 8}, threads=3, seed=5)
    assert command.train(DATA, OUTPUT, params) == OUTPUT / "command"
    assert shown() == {
        "words": ["artifacts/train/command", "artifacts/data", "", "5", "--units", "8"],
        "at": str(Path.cwd()),
        "SEED": "5",
        "OMP_NUM_THREADS": "3",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": str(Path.cwd()),
    }


def test_arguments_are_a_file_too(command_of):
    copy = "import shutil, sys; shutil.copy(sys.argv[2], sys.argv[1] + '/shown.json')"
    given = {"units": [8, 16], "dir": "{output}/logs", "none": None}
    params = command_of(copy, "python mine.py {output} {arguments}", arguments=given)
    command.train(DATA, OUTPUT, params)
    assert shown() == {**given, "dir": "artifacts/train/command/logs"}


def test_what_it_prints_is_kept_beside_the_training(command_of):
    params = command_of("print('hello')")
    command.train(DATA, OUTPUT, params)
    assert Path("artifacts/train.log").read_text() == "hello\n"
    assert list(OUTPUT.iterdir()) == [OUTPUT / "command"]
    command.put_aside(OUTPUT)
    assert not list(OUTPUT.iterdir())
    assert Path("artifacts/train.command").is_dir()


def test_run_again_it_is_given_what_it_left(command_of):
    script = "import os, sys; print(sorted(os.listdir(sys.argv[1])), repr(sys.argv[2]))\n"
    script += "open(sys.argv[1] + '/one', 'w').close(); sys.exit(not sys.argv[2:3])"
    params = command_of(script, "python mine.py {output} '{resume}'")
    command.train(DATA, OUTPUT, params)
    command.train(DATA, OUTPUT, params)
    assert Path("artifacts/train.log").read_text() == "[] ''\n['one'] ''\n"


def test_it_is_given_what_it_starts_from_under_the_name_that_it_had(command_of):
    digest = "0" * 64
    Path("checkpoints").mkdir()
    Path("checkpoints", digest).write_text("weights")
    Path("checkpoints", f"{digest}.json").write_text('{"name": "best.keras"}')
    script = "import sys; print(sys.argv[2].rpartition('/')[2], open(sys.argv[2]).read())"
    command.train(DATA, OUTPUT, command_of(script, "python mine.py {output} {start}", start=digest))
    assert Path("artifacts/train.log").read_text() == "best.keras weights\n"


def test_one_that_dies_is_told_with_its_last_line(command_of):
    line = fault_of(command_of("print('so far so good')\nraise ValueError('no such layer')"))
    assert line == (
        "train.command: ended with 1: ValueError: no such layer (all of it: artifacts/train.log)"
    )
    silent = fault_of(command_of("import os; os.abort()"))
    assert silent.startswith("train.command: was killed by SIGABRT")


def test_one_that_writes_beside_its_folder_is_refused(command_of):
    line = fault_of(command_of("open('artifacts/train/history.csv', 'w').close()"))
    assert line == (
        "train.command: wrote artifacts/train/history.csv, expected what it writes in {output}, "
        "artifacts/train/command"
    )


def test_a_program_that_is_not_installed_is_told_before_it_runs(command_of):
    params = command_of("", "no-such-program {output}")
    with pytest.raises(
        CannotRun, match="found the program no-such-program, which is not installed"
    ):
        command.train(DATA, OUTPUT, params)
    assert not Path("artifacts/train.log").exists()


def test_one_that_leaves_no_checkpoint_is_told_what_it_left(command_of):
    command_of("")
    folder = OUTPUT / command.FOLDER
    folder.mkdir()
    with pytest.raises(ModelError, match=r"left no checkpoint: found nothing in \{output\}"):
        left.chosen(folder, None)
    (folder / "log.csv").write_text("epoch,loss\n1,1\n")
    with pytest.raises(ModelError, match=r"found log\.csv in \{output\}, .* that best\.ckpt names"):
        left.chosen(folder, "best.ckpt")


def save(path: Path, seconds: int, **tensors: object) -> None:
    import torch

    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({name: torch.zeros(2) for name in tensors or ("weight",)}, path)
    os.utime(path, (seconds, seconds))


def test_the_newest_checkpoint_is_taken_and_what_lies_beside_a_model_is_none(tmp_path):
    save(tmp_path / "old.pt", 100)
    save(tmp_path / "later/new.pt", 200)
    save(tmp_path / "later/optimizer.pt", 300)
    (tmp_path / "log.csv").write_text("epoch,loss\n")
    assert left.chosen(tmp_path, None) == tmp_path / "later/new.pt"
    assert left.chosen(tmp_path, "*.pt") == tmp_path / "old.pt"
    assert left.chosen(tmp_path, "later/opt*") == tmp_path / "later/optimizer.pt"


def test_what_gives_no_weights_is_passed_over_though_it_is_newer(tmp_path):
    from onnx import TensorProto, helper

    save(tmp_path / "best.pt", 100)
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    graph = helper.make_graph([], "graph", [value], [value])
    (tmp_path / "model.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    (tmp_path / "whole.pkl").write_bytes(pickle.dumps(Path("an object")))
    assert foreign.recognized(tmp_path / "model.onnx") == "onnx_graph"
    assert foreign.recognized(tmp_path / "whole.pkl") == "pickled"
    assert left.chosen(tmp_path, None) == tmp_path / "best.pt"


def test_what_was_written_by_half_is_not_gone_on_from(tmp_path):
    save(tmp_path / "old.pt", 100)
    save(tmp_path / "new.pt", 200)
    content = (tmp_path / "new.pt").read_bytes()
    (tmp_path / "new.pt").write_bytes(content[: len(content) // 2])
    assert left.last_whole(tmp_path, None) == tmp_path / "old.pt"

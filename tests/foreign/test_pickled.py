import copy
import hashlib
import importlib
import json
import pickle
import socket
import struct
import sys
import textwrap

import numpy as np
import pytest
import torch
from torch import nn

from models.torch_mlp import TorchMLP
from pipeline import foreign
from pipeline.errors import DataError, ParamsError
from pipeline.foreign import sets
from pipeline.foreign.pickled import extract, recognizes
from testing.project import make_project
from testing.spoiled import content_of, one_line

CODE = """
    from torch import nn


    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 2)
            self.norm = nn.BatchNorm1d(2)

        def forward(self, x):
            return self.norm(self.layer(x))
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A folder with the user's models/, and a net of a class in it."""
    root = tmp_path / "user"
    (root / "models").mkdir(parents=True)
    (root / "models/__init__.py").write_text("")
    (root / "models/own_net.py").write_text(textwrap.dedent(CODE))
    monkeypatch.syspath_prepend(str(root))
    before = {n: m for n, m in sys.modules.items() if n == "models" or n.startswith("models.")}
    for name in before:
        monkeypatch.delitem(sys.modules, name)
    net = importlib.import_module("models.own_net").Own()
    yield root, net
    for name in ("models.own_net", "models"):
        sys.modules.pop(name, None)


def test_a_pickled_net_is_not_opened_but_in_one_line_that_names_the_way(own, tmp_path):
    path = tmp_path / "model.pt"
    torch.save(own[1], path)
    assert foreign.recognized(path) == "pickled"
    with pytest.raises(DataError, match="--trust-pickle") as raised:
        foreign.read(path)
    assert "models.own_net.Own" in one_line(raised, path)


def test_trusted_it_is_opened_apart_and_only_tensors_and_names_come_back(own, tmp_path):
    root, net = own
    path, output = tmp_path / "model.pt", tmp_path / "output"
    torch.save(net, path)
    extract(path, output, root)
    assert foreign.recognized(output) == "unpickled"
    opened = foreign.read(output)
    expected = net.state_dict()
    assert opened.weights.keys() == expected.keys()
    assert all(torch.equal(opened.weights[name], value) for name, value in expected.items())
    assert "models.own_net.Own" in opened.notes[0]
    assert hashlib.sha256(path.read_bytes()).hexdigest() in opened.notes[0]
    assert sorted(content_of(output)) == ["checkpoint.json", "weights.safetensors"]


def test_optimizer_epoch_and_hyperparameters_come_along(own, tmp_path):
    root, net = own
    optimizer = torch.optim.Adam(net.parameters(), lr=0.5)
    net(torch.ones(4, 3)).sum().backward()
    optimizer.step()
    content = {"model": net, "optimizer": optimizer.state_dict(), "epoch": 7, "lr": 0.5}
    content |= {"scheduler": {"last_epoch": 7}, "note": {"a": [1, "b"]}}
    path, output = tmp_path / "model.pt", tmp_path / "output"
    torch.save(content, path)
    extract(path, output, root)
    opened = foreign.read(output)
    assert (opened.epoch, opened.hyperparameters) == (7, {"lr": 0.5, "note": {"a": [1, "b"]}})
    assert opened.scheduler == {"last_epoch": 7}
    state = optimizer.state_dict()
    assert opened.optimizer["param_groups"] == state["param_groups"]
    for key, slots in state["state"].items():
        assert all(torch.equal(opened.optimizer["state"][key][k], v) for k, v in slots.items())


def taken(content, folder, root, word):
    """Returns what is opened of a pickle of this, and the weights that the word takes."""
    torch.save(content, folder / "model.pt")
    extract(folder / "model.pt", folder / "output", root)
    opened = foreign.read(folder / "output")
    return opened, sets.chosen(opened, word)


def test_an_average_beside_the_net_is_taken_by_its_name(own, tmp_path):
    root, net = own
    average = {f"module.{name}": each.detach() * 2 for name, each in net.named_parameters()}
    content = {"epoch": 3, "model": net, "ema": copy.deepcopy(net), "swa": average, "lr": 0.5}
    with torch.no_grad():
        content["ema"].layer.weight.zero_()
    opened, weights = taken(content, tmp_path, root, "ema")
    assert torch.equal(opened.weights["layer.weight"], net.layer.weight)
    assert weights.keys() == net.state_dict().keys()
    assert not weights["layer.weight"].any()
    swa = sets.chosen(opened, "swa")
    assert swa.keys() == net.state_dict().keys()  # with the batch norm's statistics
    assert torch.equal(swa["layer.weight"], net.layer.weight * 2)
    assert all(any(f"{word} takes it" in n for n in opened.notes) for word in ("ema", "swa"))
    assert opened.hyperparameters == {"lr": 0.5} and opened.epoch == 3
    with pytest.raises(ParamsError, match="found best, expected .* ema, swa"):
        sets.chosen(opened, "best")


def test_of_several_nets_that_is_taken_which_is_named(own, tmp_path):
    root, net = own
    other = copy.deepcopy(net)
    with torch.no_grad():
        other.layer.weight.zero_()
    opened, weights = taken({"student": net, "teacher": other, "n": 1}, tmp_path, root, "teacher")
    assert set(opened.weights) == {f"{w}.{n}" for w in ("student", "teacher") for n in weights}
    assert weights.keys() == net.state_dict().keys() and not weights["layer.weight"].any()
    assert opened.hyperparameters == {"n": 1}


@pytest.mark.parametrize("words", ["ema", [1], {"ema": 1}])
def test_sets_that_are_not_as_they_are_written_are_refused(own, tmp_path, words):
    root, net = own
    taken({"model": net}, tmp_path, root, None)
    place = tmp_path / "output/checkpoint.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | {"others": words}))
    with pytest.raises(DataError, match="is not as it is written") as raised:
        foreign.read(tmp_path / "output")
    one_line(raised, tmp_path / "output")


@pytest.mark.parametrize("protocol", range(6))
def test_a_plain_pickle_of_arrays_is_known_and_can_be_trusted(tmp_path, protocol):
    arrays = {"w": np.arange(6, dtype=">f4").reshape(2, 3), "n": np.array(3)}
    path = tmp_path / "weights.pkl"
    path.write_bytes(pickle.dumps(arrays, protocol))
    assert foreign.recognized(path) == "pickled"
    with pytest.raises(DataError, match="--trust-pickle"):
        foreign.read(path)
    if protocol in (0, 5):
        extract(path, tmp_path / "output")
        weights = foreign.read(tmp_path / "output").weights
        assert all(np.array_equal(weights[name].numpy(), each) for name, each in arrays.items())


class Runs:
    """Pickled, it is a call of `exec`."""

    def __init__(self, code):
        self.code = code

    def __reduce__(self):
        return exec, (textwrap.dedent(self.code),)


def attempts(place, port):
    """Code that would be seen if it were not confined."""
    return [
        f"os.system('touch {place}/made')",
        f"open('{place}/made', 'w').write('x')",
        f"os.symlink('{place}/secret', 'link')",
        f"open('{place}/answer', 'w').write(open('{place}/secret').read())",
        "os.fork()",
        "os.execv('/bin/sh', ['sh', '-c', 'true'])",
        "os.kill(os.getppid(), 15)",
        f"socket.create_connection(('127.0.0.1', {port}), 5)",
        "__import__('pipeline.foreign')",
    ]


def hostile(place, port):
    tried = "import os, socket\nreached = []\n"
    for each in attempts(place, port):
        tried += f"try:\n    {each}\n    reached.append({each!r})\nexcept Exception: pass\n"
    return {
        "attempts": Runs(f"{tried}raise ValueError(f'reached {{reached}}')"),
        "read": Runs(f"raise ValueError(open({str(place / 'secret')!r}).read())"),
        "memory": Runs("a = [bytearray(1 << 28) for _ in range(1000)]"),
        "disk": Runs("f = open('../big', 'wb')\nwhile True: f.write(bytes(1 << 24))"),
        "exit": Runs("import os; os._exit(0)"),
        "nothing": Runs("pass"),
    }


NAMES = sorted(hostile(__import__("pathlib").Path("."), 0))


@pytest.fixture
def listening():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        yield server


@pytest.mark.parametrize("name", NAMES)
def test_a_pickle_that_runs_code_achieves_nothing_though_it_is_trusted(tmp_path, listening, name):
    (tmp_path / "secret").write_text("hidden")
    path = tmp_path / "file.pkl"
    path.write_bytes(pickle.dumps(hostile(tmp_path, listening.getsockname()[1])[name]))
    before = content_of(tmp_path)
    with pytest.raises(DataError) as raised:
        extract(path, tmp_path / "output")
    line = one_line(raised, path)
    assert "hidden" not in line
    if name == "attempts":  # os.system starts nothing, and says so by a number alone
        assert "ValueError: reached ['os.system(" in line.replace('"', "'")
        assert not any(what in line for what in ("open(", "symlink(", "fork(", "execv(", "kill("))
        assert "create_connection(" not in line
        assert "__import__" not in line
    assert content_of(tmp_path) == before
    with pytest.raises(TimeoutError):
        listening.accept()


def test_the_same_code_runs_where_nothing_confines_it(tmp_path):
    pickle.loads(pickle.dumps(Runs(attempts(tmp_path, 0)[1])))
    assert (tmp_path / "made").read_text() == "x"


def test_a_false_answer_of_the_pickles_own_making_is_refused(tmp_path):
    code = """
        import json, os
        from pathlib import Path
        job = json.loads(Path(__import__("sys").argv[1]).read_text())
        answer = Path(job["answer"])
        answer.mkdir()
        (answer / "weights.safetensors").write_bytes(b"\\xff" * 100)
        (answer / "checkpoint.json").write_text("[" * 100_000)
        Path(job["report"]).write_text("{}")
        os._exit(0)
    """
    path = tmp_path / "file.pkl"
    path.write_bytes(pickle.dumps(Runs(code)))
    with pytest.raises(DataError, match="which left") as raised:
        extract(path, tmp_path / "output")
    one_line(raised, path)
    assert ".unpickling" not in str(raised.value)
    assert sorted(content_of(tmp_path)) == ["file.pkl"]


@pytest.mark.parametrize("how", [{}, {"_use_new_zipfile_serialization": False}])
def test_a_class_that_is_nowhere_is_not_needed_and_that_is_said(own, tmp_path, how):
    path = tmp_path / "model.pt"
    torch.save(own[1], path, **how)
    extract(path, tmp_path / "output")
    opened, expected = foreign.read(tmp_path / "output"), own[1].state_dict()
    assert all(torch.equal(opened.weights[name], value) for name, value in expected.items())
    assert "models.own_net.Own" in opened.notes[1]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"text",
        struct.pack("<Q", 640) + b'{"a": 1}',
        b"(dear reader)",
        b"PK\3\4",
        b"{}",
        b"cc",
        b"c\n\n",
        b"]q",
        b"\x93NUMPY",
    ],
)
def test_anything_else_is_no_pickle(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    assert not recognizes(path)
    assert not recognizes(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    assert not recognizes(tmp_path / "loop")


def test_weights_alone_are_of_another_kind(tmp_path):
    path = tmp_path / "file"
    net = nn.Linear(2, 2)
    for content in (net.state_dict(), {"model": net.state_dict(), "epoch": 3}):
        torch.save(content, path)
        assert not recognizes(path)
        assert foreign.recognized(path) == "state_dict"


def test_a_pickle_that_is_cut_off_ends_in_one_line(tmp_path):
    path = tmp_path / "file.pkl"
    path.write_bytes(pickle.dumps({"w": np.ones(100)})[:-50])
    with pytest.raises(DataError, match="--trust-pickle") as raised:
        foreign.read(path)
    one_line(raised, path)
    with pytest.raises(DataError, match="confined process") as raised:
        extract(path, tmp_path / "output")
    one_line(raised, path)
    assert list(content_of(tmp_path)) == ["file.pkl"]


def test_adoption_takes_in_a_pickle_where_it_is_trusted_and_only_there(tmp_path):
    project = make_project(tmp_path / "project")
    path = tmp_path / "model.pt"
    torch.save(TorchMLP(4, 3, 2), path)
    refused = project.run("python", "-m", "pipeline.adopt", str(path), check=False)
    assert refused.returncode == 1
    assert "--trust-pickle" in refused.stdout
    assert not (project.root / "checkpoints").exists()
    code = """
import sys
from pathlib import Path
from pipeline.adopt import take_in_pickle
digest, checkpoint = take_in_pickle(Path(sys.argv[1]))
print(sorted(checkpoint.weights) == sorted(sys.argv[2:]))
"""
    names = list(TorchMLP(4, 3, 2).state_dict())
    done = project.script(code, str(path), *names, parent="pytorch").stdout
    assert done.endswith("True\n")
    assert f"{path}: folder that --trust-pickle made of a pickle, kept as checkpoints/" in done
    torch.save({"w": torch.ones(2)}, path)
    needless = project.run(
        "python", "-m", "pipeline.adopt", str(path), "--trust-pickle", check=False
    )
    assert needless.returncode == 1
    assert "leave it out" in needless.stdout

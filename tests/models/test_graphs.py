"""A batch of graphs is one graph to the net, and no graph's answer hangs on the others."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn, optim

from models.graphs import Graphs, SumByGraph, WithinReach
from pipeline.formats.dimensions import Dimensions
from pipeline.frameworks import pytorch as framework
from testing.formats import form as plugin
from testing.parts import parts

LEAST, MOST = 3, 8
DIMENSIONS = Dimensions(
    bounds={"nodes": (LEAST, MOST), "edges": (2, 12)},
    axes={
        "input.x": {1: "nodes"},
        "input.edge_index": {2: "edges"},
        "input.node_mask": {1: "nodes"},
        "input.edge_mask": {1: "edges"},
    },
)
INPUTS = {
    "x": {"dtype": "float32", "shape": ["nodes", 2]},
    "edge_index": {"dtype": "int64", "shape": [2, "edges"]},
    "node_mask": {"dtype": "int64", "shape": ["nodes"]},
    "edge_mask": {"dtype": "int64", "shape": ["edges"]},
}
KIND = {"kind": {"dtype": "int64", "shape": [], "classes": 3}}


class Sums(nn.Module):
    """Adds up what neighbours say, and looks for edges of its own: self loops are passed over, so
    that the number of edges hangs on values."""

    def __init__(self) -> None:
        super().__init__()
        self.message, self.own = nn.Linear(2, 3), nn.Linear(2, 3)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        edge_index = edge_index[:, edge_index[0] != edge_index[1]]
        said = self.message(x).index_select(0, edge_index[0])
        total = said.new_zeros(x.shape[0], 3)
        return self.own(x) + total.index_add(0, edge_index[1], said)


class Counting(nn.Module):
    """One answer a graph, as many as the greatest number says."""

    def forward(self, x: Tensor, batch: Tensor) -> Tensor:
        graphs = int(batch.max()) + 1
        return x.new_zeros(graphs, x.shape[1]).index_add(0, batch, x)


class Whole(nn.Module):
    """The same of nodes in pairs within reach, without counting."""

    def __init__(self) -> None:
        super().__init__()
        self.reach, self.sum, self.body = WithinReach(1.0), SumByGraph(), nn.Linear(2, 3)

    def forward(self, x: Tensor, batch: Tensor) -> Tensor:
        edges, lengths = self.reach(x, batch)
        said = self.body(x).index_select(0, edges[0]) * lengths[:, None]
        return self.sum(said.new_zeros(x.shape[0], 3).index_add(0, edges[1], said), batch)


def graphs(rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Graphs of 3 nodes and more, filled up with what must not matter."""
    random = np.random.default_rng(seed)
    nodes, edges = random.integers(LEAST, MOST + 1, rows), random.integers(2, 13, rows)
    return {
        "x": random.normal(size=(rows, MOST, 2)).astype(np.float32),
        "edge_index": random.integers(0, LEAST, (rows, 2, 12)),
        "node_mask": np.int64(np.arange(MOST) < nodes[:, None]),
        "edge_mask": np.int64(np.arange(12) < edges[:, None]),
    }


def tensors(arrays: dict[str, np.ndarray]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def alone(arrays: dict[str, np.ndarray], row: int) -> dict[str, Tensor]:
    """One graph, without what fills it up."""
    nodes, edges = arrays["node_mask"][row].sum(), arrays["edge_mask"][row].sum()
    x, edge_index = arrays["x"][row, :nodes], arrays["edge_index"][row, :, :edges]
    return tensors({"x": x, "edge_index": edge_index})


@pytest.mark.parametrize("pool", [None, "sum", "mean"])
def test_a_graph_answers_in_a_batch_as_alone(pool: str | None) -> None:
    net, arrays = Sums(), graphs(5)
    answers = Graphs(net, ["x"], pool=pool)(**tensors(arrays))
    for row in range(5):
        own = net(**alone(arrays, row))
        if pool is None:
            expected = torch.zeros(3, MOST)
            expected[:, : len(own)] = own.T
        else:
            expected = own.sum(dim=0) if pool == "sum" else own.mean(dim=0)
        torch.testing.assert_close(answers[row], expected)


def test_a_net_that_answers_graphs_is_told_which_node_is_whose() -> None:
    arrays = {n: v for n, v in graphs(5).items() if not n.startswith("edge")}
    answers = Graphs(Counting(), ["x"], answers="graphs")(**tensors(arrays))
    expected = (arrays["x"] * arrays["node_mask"][..., None]).sum(axis=1)
    torch.testing.assert_close(answers, torch.from_numpy(np.float32(expected)))


@pytest.mark.parametrize("node", [-1, MOST])
def test_a_node_that_a_graph_does_not_have_is_refused(node: int) -> None:
    """It would be one of another graph's."""
    arrays = graphs(3)
    arrays["edge_index"][1, 0, 0] = node
    with pytest.raises((IndexError, RuntimeError)):
        Graphs(Sums(), ["x"])(**tensors(arrays))


@pytest.mark.parametrize(("key", "value"), [("answers", "edges"), ("pool", "max")])
def test_another_answer_or_pool_is_refused(key: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"{key}: found '{value}', expected"):
        Graphs(Sums(), ["x"], **{key: value})


def test_edges_within_reach_are_of_one_graph() -> None:
    pos = torch.tensor([[0.0, 0], [0, 1], [0, 3], [0, 0]])
    edges, lengths = WithinReach(2.0)(pos, torch.tensor([0, 0, 0, 1]))
    assert edges.tolist() == [[0, 1, 1, 2], [1, 0, 2, 1]]
    assert lengths.tolist() == [1, 1, 2, 2]


@pytest.mark.parametrize("whole", [False, True], ids=["nodes", "graphs"])
def test_graphs_of_any_size_leave_as_a_program_and_train_on_bit_for_bit(
    whole: bool, tmp_path: Path
) -> None:
    framework.configure(1)
    framework.seed(1)

    def net() -> nn.Module:
        inner = Whole() if whole else Sums()
        return Graphs(inner, ["x"], **({"answers": "graphs"} if whole else {"pool": "mean"}))

    given = {n: each for n, each in INPUTS.items() if not (whole and n.startswith("edge"))}
    axes = {n: each for n, each in DIMENSIONS.axes.items() if n.removeprefix("input.") in given}
    bounds = {n: each for n, each in DIMENSIONS.bounds.items() if not (whole and n == "edges")}
    dimensions = Dimensions(bounds=bounds, axes=axes)

    def batch(rows: int, seed: int = 0) -> dict[str, np.ndarray]:
        return {name: graphs(rows, seed)[name] for name in given}

    arrays, kinds = batch(30), {"kind": np.arange(30) % 3}
    made = framework.build(
        parts(net, nn.CrossEntropyLoss, optim.Adam, None, given, None, ["logits"], KIND)
    )
    rows = np.arange(12)
    framework.step(made, arrays, kinds, rows)
    form = plugin("torch_export")
    few = {name: array[:7] for name, array in arrays.items()}
    program = framework.predictor(made, few)
    true = {"kind": kinds["kind"][:7]}
    form.export(program, few, ["logits"], tmp_path, made, true, 7, dimensions=dimensions)
    for one in (batch(4, 1), {n: v[..., :5] if "edge" in n else v for n, v in batch(9, 2).items()}):
        expected, _ = framework.evaluate(made, one, None)
        assert np.array_equal(form.load(tmp_path)(one)["logits"], expected["logits"])
    trainer = form.load_training(tmp_path)
    framework.seed(7)
    ours = [float(framework.step(made, arrays, kinds, rows + n)) for n in range(4)]
    trainer.seed(7)
    theirs = [
        float(
            trainer.step(
                {k: v[rows + n] for k, v in arrays.items()}, {"kind": kinds["kind"][rows + n]}
            )
        )
        for n in range(4)
    ]
    assert ours == theirs

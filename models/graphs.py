"""Graphs of any size: a net that takes one large graph gets those of a batch as one."""

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class Graphs(nn.Module):
    """Rows are graphs, filled up to the largest of a batch, and the net gets them as one graph.

    What is of nodes has the shape (rows, nodes, ...), what is of edges (rows, edges, ...), and
    edge_index (rows, 2, edges) the numbers of each row's own nodes. The net gets the nodes of one
    row behind those of another, `batch` with the number of each node's graph, where its forward
    takes that, and one node more, in a graph of its own: what only fills up hangs there, so that it
    changes no other answer. A node's number that its row does not have is refused by torch.

    A net that answers nodes gives (rows, features, nodes), as torch's losses take them, and 0 where
    a row is filled up; or with `pool` their sum or mean, as one that answers graphs does, (rows,
    features).
    """

    def __init__(
        self,
        net: nn.Module,
        nodes: Sequence[str],
        edges: Sequence[str] = (),
        answers: str = "nodes",
        pool: str | None = None,
    ):
        super().__init__()
        if answers not in ("nodes", "graphs"):
            raise ValueError(f"answers: found {answers!r}, expected nodes or graphs")
        if pool not in (None, "sum", "mean"):
            raise ValueError(f"pool: found {pool!r}, expected sum, mean or null")
        self.net = net
        self.nodes, self.edges, self.answers, self.pool = list(nodes), list(edges), answers, pool
        self.takes = set(inspect.signature(net.forward).parameters)

    def forward(self, node_mask: Tensor, **values: Tensor) -> Tensor:
        """Takes the masks of nodes and of edges, those where the net has edges, beside them."""
        rows, nodes = node_mask.shape
        of_nodes = (node_mask > 0).flatten()
        given = {name: _with_one_more(values[name]) for name in self.nodes}
        given |= {name: values[name].flatten(0, 1) for name in self.edges}
        if "edge_index" in values:
            given["edge_index"] = _joined(values["edge_index"], values["edge_mask"], nodes)
        more = {"batch": _numbers(of_nodes, rows, nodes), "batch_size": rows + 1}
        answer = self.net(**given, **{k: v for k, v in more.items() if k in self.takes})
        if self.answers == "graphs":
            return answer.index_select(0, torch.arange(rows, device=answer.device))
        by_node = answer[: rows * nodes] * of_nodes[:, None]
        by_row = by_node.unflatten(0, (rows, nodes))
        if self.pool is None:
            return by_row.transpose(1, 2)
        total = by_row.sum(dim=1)
        return total if self.pool == "sum" else total / _sizes(node_mask)


class SumByGraph(nn.Module):
    """The sum over each graph's nodes, then zeros, in all as many as there are nodes: for nets that
    would count the graphs by the greatest number among the nodes', which no program knows."""

    def forward(self, x: Tensor, batch: Tensor, dim: int = 0) -> Tensor:
        places = batch[:, None].expand_as(x)
        return x.new_zeros(x.shape).scatter_add(dim, places, x)


class WithinReach(nn.Module):
    """The edges between any two nodes of a graph that lie no further apart than `cutoff`, with
    their lengths: what nets of atoms ask for. It looks at all pairs of a batch."""

    def __init__(self, cutoff: float):
        super().__init__()
        self.cutoff = cutoff

    def forward(self, pos: Tensor, batch: Tensor) -> tuple[Tensor, Tensor]:
        number = torch.arange(batch.shape[0], device=batch.device)
        between = (pos[:, None] - pos[None]).square().sum(dim=-1)
        near = (between <= self.cutoff**2) & (batch[:, None] == batch[None])
        edges = (near & (number[:, None] != number[None])).nonzero().T
        return edges, (pos[edges[0]] - pos[edges[1]]).norm(dim=-1)


def _with_one_more(values: Tensor) -> Tensor:
    """Returns the nodes of all rows, and one of zeros."""
    flat = values.flatten(0, 1)
    return torch.cat([flat, flat.new_zeros(1, *flat.shape[1:])])


def _joined(edge_index: Tensor, edge_mask: Tensor, nodes: Any) -> Tensor:
    """Returns the edges of all rows, (2, rows * edges), between nodes of one graph."""
    rows, one = edge_index.shape[0], torch.ones_like(edge_index)
    first = torch.arange(rows, device=edge_index.device)[:, None, None] * nodes
    is_node = (edge_index >= 0) & (edge_index < nodes)
    joined = torch.where(is_node, edge_index + first, one * (rows * nodes + 1))
    joined = torch.where(edge_mask[:, None] > 0, joined, one * (rows * nodes))
    return joined.transpose(0, 1).flatten(1)


def _numbers(of_nodes: Tensor, rows: Any, nodes: Any) -> Tensor:
    """Returns the number of each node's graph; that behind the last is of what fills up."""
    number = torch.arange(rows, device=of_nodes.device)[:, None].expand(rows, nodes).flatten()
    last = torch.ones_like(number) * rows
    return torch.cat([torch.where(of_nodes, number, last), last.new_ones(1) * rows])


def _sizes(node_mask: Tensor) -> Tensor:
    return (node_mask > 0).sum(dim=1, keepdim=True).clamp(min=1)

"""A checkpoint is loaded without a copy of what lies in its file as the net has it."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pipeline.frameworks._pytorch_mapping import lay


class Net(nn.Module):
    """Has tied weights, a buffer, and a view of a weight as a plain attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.tied, self.seen = (nn.Linear(64, 64) for _ in range(3))
        self.tied.weight = self.first.weight
        self.register_buffer("counts", torch.zeros(64, dtype=torch.int64))
        self.rows = self.seen.weight.detach()[:2]

    def forward(self, values: Tensor) -> Tensor:
        return self.seen(self.tied(self.first(values)))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.save(Net().state_dict(), tmp_path / "net.pt")
    return tmp_path / "net.pt"


def test_tensors_lie_in_the_file_where_nobody_has_a_view_of_them(saved: Path) -> None:
    net, state = Net(), torch.load(saved, weights_only=True)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    lay(net, given := torch.load(saved, weights_only=True, mmap=True))
    net.load_state_dict(given)
    lying = _lying(saved)
    places = {name: each.data_ptr() in lying for name, each in net.state_dict().items()}
    assert places == dict.fromkeys(places, True) | {"seen.weight": False}
    assert all(torch.equal(each, state[name]) for name, each in net.state_dict().items())
    assert torch.equal(net.rows, state["seen.weight"][:2])
    assert net.tied.weight is net.first.weight

    before = saved.read_bytes()
    net(torch.ones(1, 64)).sum().backward()
    optimizer.step()
    assert not torch.equal(net.first.weight, state["first.weight"])
    assert saved.read_bytes() == before


def test_what_the_file_has_as_one_tensor_stays_two_in_a_net_that_has_two(saved: Path) -> None:
    net = Net()
    net.tied.weight = nn.Parameter(torch.zeros(64, 64))
    lay(net, given := torch.load(saved, weights_only=True, mmap=True))
    net.load_state_dict(given)
    with torch.no_grad():
        net.first.weight.zero_()
    assert net.tied.weight.any()


class _Lying(list[range]):
    def __contains__(self, place: object) -> bool:
        return any(place in each for each in self)


def _lying(path: Path) -> _Lying:
    """Returns where this process has the file in its memory."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    spans = (line.split()[0].split("-") for line in lines if line.endswith(str(path)))
    return _Lying(range(int(start, 16), int(end, 16)) for start, end in spans)

"""Batch normalisation of any class, written as torch's own."""

import pytest
import torch
from torch import Tensor, nn

from models.errors import MissingStatistics
from tests.training.norm_layers import Frozen
from training.norm_modules import ExplicitBatchNorm, find_layers, make_explicit


class Doubled(nn.BatchNorm2d):
    """Keeps what a layer keeps, and computes something else."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


@pytest.mark.parametrize("act", [False, True])
def test_a_layer_of_another_class_is_replaced_where_the_replacement_computes_the_same(act: bool) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), Frozen(4, eps=1e-2, act=act)).eval()
    x = torch.randn(2, 3, 5, 5)
    expected, names = network(x), list(network.state_dict())

    used = make_explicit(network, lambda module: module(x))

    assert isinstance(network[1], ExplicitBatchNorm)
    assert (used.calls, used.unlike) == (1, ())
    assert list(network.state_dict()) == names
    torch.testing.assert_close(network(x), expected)


def test_a_layer_that_computes_something_else_stays() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), Doubled(4)).eval()

    used = make_explicit(network, lambda module: module(torch.randn(2, 3, 5, 5)))

    assert isinstance(network[1], Doubled)
    assert used.unlike == ("1",)


def test_layers_are_known_by_what_they_keep() -> None:
    network = nn.Sequential(nn.BatchNorm1d(2), nn.LayerNorm(2), Frozen(3), nn.SyncBatchNorm(4))

    assert list(find_layers(network)) == ["0", "2", "3"]
    with pytest.raises(MissingStatistics, match="layer '1'"):
        find_layers(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2, track_running_stats=False)))

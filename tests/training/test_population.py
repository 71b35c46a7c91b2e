"""Population statistics."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from models.errors import InvalidInput
from training.population import batches, store_statistics

ROWS = torch.randn(60, 2, 5, 5) * 3 + 7


def network() -> nn.Sequential:
    """Two normalisation layers, whose statistics start out wrong."""
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(2, 3, 3),
        nn.BatchNorm2d(3),
        nn.ReLU(),
        nn.Dropout(),
        nn.Flatten(),
        nn.Linear(27, 4),
        nn.BatchNorm1d(4),
    )


def statistics(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items() if "running" in name}


@torch.no_grad()
def exact(model: nn.Sequential, rows: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Mean and biased variance of each layer's input over all rows at once, in float64."""
    x, found = rows.double(), []
    for module in model.double().eval():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            axes = [axis for axis in range(x.ndim) if axis != 1]
            found.append((x.mean(axes), x.var(axes, correction=0)))
            x = nn.functional.batch_norm(x, None, None, module.weight, module.bias, training=True)
        else:
            x = module(x)
    return found


def test_one_batch_gives_every_layer_the_statistics_of_a_float64_forward_pass() -> None:
    model = network()

    store_statistics(model, [ROWS])

    stored = [(model[1].running_mean, model[1].running_var), (model[6].running_mean, model[6].running_var)]
    for (mean, var), (expected_mean, expected_var) in zip(stored, exact(network(), ROWS), strict=True):
        torch.testing.assert_close(mean.double(), expected_mean, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(var.double(), expected_var, rtol=1e-5, atol=1e-6)


def test_the_variance_is_that_of_the_population_and_not_bessels() -> None:
    model = nn.BatchNorm1d(1)

    store_statistics(model, [torch.tensor([[0.0], [2.0]])])

    assert model.running_var.item() == 1.0  # torch would store 2


@given(cuts=st.lists(st.integers(1, 29), max_size=5, unique=True))
@settings(deadline=None, max_examples=30)
def test_the_first_layer_does_not_depend_on_the_split_into_batches(cuts: list[int]) -> None:
    whole, split = network(), network()

    store_statistics(whole, [ROWS])
    store_statistics(split, ROWS.tensor_split([2 * cut for cut in sorted(cuts)]))

    torch.testing.assert_close(split[1].running_mean, whole[1].running_mean, rtol=1e-6, atol=0)
    torch.testing.assert_close(split[1].running_var, whole[1].running_var, rtol=1e-6, atol=0)


def test_deeper_layers_depend_on_the_split_a_little() -> None:
    whole, split = network(), network()

    store_statistics(whole, [ROWS])
    store_statistics(split, ROWS.split(20))

    difference = (split[6].running_mean - whole[6].running_mean).abs().max()
    assert 1e-4 < difference < 0.2


def test_the_order_of_the_batches_does_not_matter() -> None:
    there, back = network(), network()
    parts = ROWS.split((10, 20, 30))

    store_statistics(there, parts)
    store_statistics(back, parts[::-1])

    torch.testing.assert_close(statistics(there), statistics(back), rtol=1e-6, atol=1e-7)


def test_the_running_average_of_training_is_something_else() -> None:
    averaged, calibrated = network(), network()

    averaged.train()
    for batch in ROWS.split(10):
        averaged(batch)
    store_statistics(calibrated, ROWS.split(10))

    assert (averaged[1].running_mean - calibrated[1].running_mean).abs().max() > 0.1


def test_values_far_from_zero_keep_their_variance() -> None:
    model = nn.BatchNorm1d(1)
    rows = torch.tensor(np.arange(100, dtype=np.float32)[:, None] + 1e6)

    store_statistics(model, rows.split(7))

    assert model.running_var.item() == pytest.approx((100**2 - 1) / 12, rel=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_nothing_but_the_statistics_changes(training: bool) -> None:
    model = network().train(training)
    model[2].train(not training)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items() if "running" not in name}
    modes = [module.training for module in model.modules()]

    store_statistics(model, [ROWS])

    after = {name: tensor for name, tensor in model.state_dict().items() if "running" not in name}
    torch.testing.assert_close(after, before, rtol=0, atol=0)
    assert [module.training for module in model.modules()] == modes
    assert all(layer.track_running_stats and not layer._forward_pre_hooks for layer in (model[1], model[6]))


def test_an_error_half_way_leaves_everything_as_it_was() -> None:
    model = network().train()
    before = statistics(model)

    with pytest.raises(RuntimeError):
        store_statistics(model, [ROWS, ROWS[:, :, :2]])

    torch.testing.assert_close(statistics(model), before, rtol=0, atol=0)
    assert model.training
    assert all(layer.track_running_stats and not layer._forward_pre_hooks for layer in (model[1], model[6]))


class Repeats(nn.Module):
    """Uses its one normalisation layer a number of times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(2)
        self.times = times

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(self.times):
            x = self.norm(x) + 1
        return x


@pytest.mark.parametrize("times", [0, 2])
def test_a_layer_not_used_exactly_once_is_refused(times: int) -> None:
    with pytest.raises(InvalidInput, match=f"'norm' is used {times} times"):
        store_statistics(Repeats(times), [ROWS])


@pytest.mark.parametrize(
    ("model", "rows", "message"),
    [
        (nn.BatchNorm2d(2), [], "no rows"),
        (nn.BatchNorm2d(2), [ROWS[:1]], "fewer than 2 rows"),
        (nn.BatchNorm2d(2, track_running_stats=False), [ROWS], "no running statistics"),
        (nn.SyncBatchNorm(2), [ROWS], "SyncBatchNorm"),
    ],
)
def test_what_has_no_population_statistics_is_refused(model: nn.Module, rows: list[Tensor], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        store_statistics(model, rows)


@pytest.mark.parametrize("count", [2, 256, 257, 600])
def test_rows_are_split_into_nearly_equal_batches(count: int) -> None:
    sizes = [len(batch) for batch in batches(torch.zeros(count, 1))]

    assert sum(sizes) == count
    assert max(sizes) <= 256
    assert max(sizes) - min(sizes) <= 1

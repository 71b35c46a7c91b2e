"""One epoch, and one evaluation."""

import math

import pytest
import torch
from torch import nn

from training import loop

ROWS, LABELS = torch.randn(129, 4), torch.arange(129) % 3


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


@pytest.mark.parametrize(("batch_size", "steps"), [(32, 4), (128, 1), (129, 1), (1000, 1), (43, 3), (2, 64), (50, 3)])
def test_a_last_batch_of_one_row_is_left_out(batch_size: int, steps: int) -> None:
    model, taken = network(), []

    loop.train_epoch(
        model,
        torch.optim.SGD(model.parameters()),
        ROWS,
        LABELS,
        batch_size=batch_size,
        learning_rate=lambda _: 0.1,
        on_step=lambda: taken.append(1),
    )

    assert len(taken) == steps == loop.count_steps(len(ROWS), batch_size)


def test_each_step_has_the_rate_that_the_schedule_gives_it() -> None:
    model, rates = network(), []
    optimizer = torch.optim.SGD(model.parameters())

    loop.train_epoch(
        model,
        optimizer,
        ROWS,
        LABELS,
        batch_size=43,
        learning_rate=lambda step: 0.5**step,
        on_step=lambda: rates.append(optimizer.param_groups[0]["lr"]),
    )

    assert rates == [1.0, 0.5, 0.25]


def test_the_schedule_falls_from_one_to_zero() -> None:
    assert loop.cosine(0, 10) == 1
    assert loop.cosine(5, 10) == pytest.approx(0.5)
    assert loop.cosine(10, 10) == pytest.approx(0)


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_a_loss_that_is_not_finite_stops_the_training(value: float) -> None:
    model = network()

    with pytest.raises(loop.Diverged, match="smaller learning rate"):
        loop.train_epoch(
            model,
            torch.optim.SGD(model.parameters()),
            ROWS * value,
            LABELS,
            batch_size=32,
            learning_rate=lambda _: 0.1,
        )


@pytest.mark.parametrize("training", [True, False])
def test_an_evaluation_counts_each_row_once_and_leaves_the_mode_alone(training: bool) -> None:
    class Answers(nn.Module):
        """Says what its input says."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            assert not self.training
            return x

    model = Answers().train(training)
    predicted = torch.tensor([0, 0, 1, 2, 2] * 300)
    true = torch.tensor([0, 1, 1, 2, 0] * 300)

    counts = loop.evaluate(model, nn.functional.one_hot(predicted, 3).float(), true)

    assert counts.tolist() == [[300, 0, 300], [300, 300, 0], [0, 0, 300]]
    assert loop.accuracy(counts) == 0.6
    assert model.training == training

"""Runs at several learning rates and depths, with and without batch normalisation: what two studies have in common."""

from collections.abc import Sequence

import torch

from training.run import Rows
from training.studies.plain_mlp import PlainMLP
from training.studies.study import Settings

SOURCE = (
    "Ioffe & Szegedy 2015, section 3.3 ([arXiv:1502.03167](https://arxiv.org/abs/1502.03167)); "
    "Bjorck et al. 2018 ([arXiv:1806.02375](https://arxiv.org/abs/1806.02375))"
)
BATCH_ROWS = 64
_WIDTH = 64


def every_run(steps: int, seeds: int, depths: Sequence[int], rates: Sequence[float]) -> list[Settings]:
    """Every learning rate at every depth, with and without normalisation, with every seed.

    Args:
        steps: of one run.
        seeds: their number.
        depths: hidden layers.
        rates: learning rates.
    """
    return [
        {"depth": depth, "rate": rate, "normalized": normalized, "steps": steps, "seed": seed}
        for seed in range(seeds)
        for depth in depths
        for rate in rates
        for normalized in (False, True)
    ]


def build(settings: Settings, rows: Rows) -> PlainMLP:
    """The network of a run, with initial weights."""
    return PlainMLP(
        rows.train.shape[1],
        int(settings["depth"]),
        _WIDTH,
        normalized=bool(settings["normalized"]),
        activation=torch.relu,
    )

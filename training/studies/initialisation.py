"""Ioffe & Szegedy 2015, section 3.3: less sensitive to the scale of the initial weights."""

from collections.abc import Sequence

import numpy as np
import torch

from training.run import Rows
from training.studies import plain_mlp
from training.studies.chart import Axis, Series, draw
from training.studies.plain_mlp import PlainMLP
from training.studies.study import Findings, Result, Settings, Size, interval, select

title = "Accuracy by the scale of the initial weights"
question = "Does a network with batch normalisation train whatever the scale of its initial weights?"
source = "Ioffe & Szegedy 2015, section 3.3 ([arXiv:1502.03167](https://arxiv.org/abs/1502.03167))"
setup = """MNIST; five hidden layers of 64 ReLU units; Gaussian initial weights of one standard deviation in all
layers; batches of 64; plain stochastic gradient descent with a learning rate of 0.1. For layers of 64
inputs, He et al. (2015) would choose 0.18. A scale counts as trained if the mean accuracy on 2,000 test
rows after the last step is at least half of the best of all scales and arms."""

_STEPS: dict[Size, int] = {"quick": 60, "full": 1_000}
_SEEDS: dict[Size, int] = {"quick": 1, "full": 3}
_SCALES: dict[Size, tuple[float, ...]] = {
    "quick": (0.01, 0.1),
    "full": (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0),
}
_DEPTH, _WIDTH = 5, 64
_BATCH_ROWS = 64
_LEARNING_RATE = 0.1
_TEST_ROWS = 2000


def runs(size: Size) -> Sequence[Settings]:
    """Every scale, with and without, with every seed."""
    return [
        {"scale": scale, "normalized": normalized, "steps": _STEPS[size], "seed": seed}
        for seed in range(_SEEDS[size])
        for scale in _SCALES[size]
        for normalized in (False, True)
    ]


def measure(settings: Settings, rows: Rows) -> Result:
    """The accuracy after the last step."""
    network = PlainMLP(
        rows.train.shape[1],
        _DEPTH,
        _WIDTH,
        normalized=bool(settings["normalized"]),
        activation=torch.relu,
        initial_std=float(settings["scale"]),
    )
    for _ in range(int(settings["steps"])):
        plain_mlp.step(network, _LEARNING_RATE, rows, _BATCH_ROWS)
    return {"accuracy": plain_mlp.accuracy(network, rows.test[:_TEST_ROWS], rows.test_labels[:_TEST_ROWS])}


def conclude(runs: Sequence[tuple[Settings, Result]]) -> Findings:
    """Accuracy by scale, and the range of scales that are trained."""
    scales = sorted({float(settings["scale"]) for settings, _ in runs})
    arms = {}
    for name, normalized in (("without BN", False), ("with BN", True)):
        found = [select(runs, scale=scale, normalized=normalized) for scale in scales]
        arms[name] = [interval([result["accuracy"] for result in results]) for results in found]
    x = Axis("standard deviation of the initial weights", scales[0] / 1.2, scales[-1] * 1.2, is_log=True, at=scales)
    lines = [
        Series(
            name,
            scales,
            [mean for mean, _ in values],
            [mean - half for mean, half in values],
            [mean + half for mean, half in values],
            colour=colour,
        )
        for colour, (name, values) in enumerate(arms.items())
    ]
    figure = draw("Test accuracy by initial scale (band: 95 % interval)", x, Axis("test accuracy", 0, 1), lines)
    table = [
        [f"{scale:g}", *(f"{100 * values[row][0]:.1f} ± {100 * values[row][1]:.1f} %" for values in arms.values())]
        for row, scale in enumerate(scales)
    ]
    half = max(mean for values in arms.values() for mean, _ in values) / 2
    trained = {
        name: [scale for scale, (mean, _) in zip(scales, values, strict=True) if mean >= half]
        for name, values in arms.items()
    }
    spread = {name: np.ptp([mean for mean, _ in values]) for name, values in arms.items()}
    verdict = (
        f"Of {len(scales)} scales, {_listed(trained['with BN'])} are trained with BN, and "
        f"{_listed(trained['without BN'])} without. Between the best and the worst scale are "
        f"{100 * spread['with BN']:.1f} points of accuracy with BN, and {100 * spread['without BN']:.1f} without."
    )
    return Findings({"accuracy": figure}, ["initial scale", *arms], table, verdict)


def _listed(scales: Sequence[float]) -> str:
    return f"{len(scales)} ({', '.join(f'{scale:g}' for scale in scales)})" if scales else "none"

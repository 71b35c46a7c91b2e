"""Ioffe & Szegedy 2015, figure 1: accuracy over training, and the distribution of the units' inputs."""

import math
from collections.abc import Mapping, Sequence
from copy import deepcopy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.run import Rows
from training.studies import plain_mlp
from training.studies.chart import Axis, Series, draw
from training.studies.plain_mlp import PlainMLP
from training.studies.study import Findings, Result, Settings, Size, interval, select

title = "Accuracy over training, and the inputs of units"
question = "Does a network with batch normalisation train faster, and are the inputs of its units more stable?"
source = "Ioffe & Szegedy 2015, section 4.1 and figure 1 ([arXiv:1502.03167](https://arxiv.org/abs/1502.03167))"
setup = """MNIST; three hidden layers of 100 sigmoid units; batches of 60; Gaussian initial weights of
standard deviation 0.1; stochastic gradient descent with a learning rate of 0.1 in both arms (the paper states
none); 50,000 steps, as in the paper. Both arms of a seed see the same batches. Every 500 steps the accuracy on
all test rows is measured, and the 15th, 50th and 85th percentile of each unit's input over 1,000 test rows,
in the last hidden layer. With BN these rows are normalised as a batch of training is, by their own
statistics. The figure has the first unit of that layer; the table the mean over its 100 units of how far the
median moves in all, in units of the distance between the 15th and 85th percentile, and of how much that
distance changes in all (1 is a factor of e)."""

_STEPS: dict[Size, int] = {"quick": 40, "full": 50_000}
_SEEDS: dict[Size, int] = {"quick": 1, "full": 3}
_POINTS = 100
_BATCH_ROWS = 60
_LEARNING_RATE = 0.1
_INITIAL_STD = 0.1
_UNIT_ROWS = 1000
_PERCENTILES = (15, 50, 85)
_TARGETS = (0.9, 0.95)


def runs(size: Size) -> Sequence[Settings]:
    """Both arms with every seed."""
    return [
        {"normalized": normalized, "steps": _STEPS[size], "seed": seed}
        for seed in range(_SEEDS[size])
        for normalized in (False, True)
    ]


def measure(settings: Settings, rows: Rows) -> Result:
    """Accuracy and percentiles of the first unit's input at `_POINTS` steps, and the movement of every unit's."""
    network = PlainMLP(
        rows.train.shape[1],
        3,
        100,
        normalized=bool(settings["normalized"]),
        activation=torch.sigmoid,
        initial_std=_INITIAL_STD,
    )
    torch.manual_seed(int(settings["seed"]))  # the batches are those of the other arm
    steps = int(settings["steps"])
    measured, accuracies, inputs = [], [], []
    for number in range(1, steps + 1):
        plain_mlp.step(network, _LEARNING_RATE, rows, _BATCH_ROWS)
        if number % max(1, steps // _POINTS) == 0:
            measured.append(number)
            accuracies.append(plain_mlp.accuracy(network, rows.test, rows.test_labels))
            inputs.append(_percentiles(network, rows.test[:_UNIT_ROWS]))
    low, median, high = np.stack(inputs, axis=1)  # each (points, units)
    spread = high - low
    return {
        "step": measured,
        "accuracy": accuracies,
        "p15": low[:, 0].tolist(),
        "p50": median[:, 0].tolist(),
        "p85": high[:, 0].tolist(),
        "median_path": (_path(median) / spread.mean(axis=0)).round(4).tolist(),
        "spread_path": _path(np.log(spread)).round(4).tolist(),
    }


@torch.no_grad()
def _percentiles(network: PlainMLP, rows: Tensor) -> NDArray[np.float64]:
    """Of each unit's input over the rows, which are normalised by their own statistics: (3, units)."""
    twin = deepcopy(network)  # whose running statistics may change
    inputs = twin.activation_inputs(rows).numpy().astype(np.float64)
    return np.percentile(inputs, _PERCENTILES, axis=0)


def _path(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far the values of each column go from row to row in all."""
    return np.abs(np.diff(values, axis=0)).sum(axis=0)  # type: ignore[no-any-return]


def conclude(runs: Sequence[tuple[Settings, Result]]) -> Findings:
    """Accuracy curves with their range over seeds, the percentiles of the first seed, steps to an accuracy."""
    arms = {"without BN": select(runs, normalized=False), "with BN": select(runs, normalized=True)}
    figures = {"accuracy": _accuracy_figure(arms), "unit": _unit_figure(arms)}
    last = arms["with BN"][0]["step"][-1]
    table = []
    ends, moved = {}, {}
    for name, results in arms.items():
        ends[name] = interval([result["accuracy"][-1] for result in results])
        moved[name] = interval([float(np.mean(result["median_path"])) for result in results])
        spread = interval([float(np.mean(result["spread_path"])) for result in results])
        table.append(
            [
                name,
                str(len(results)),
                *(_shown_steps(results, target) for target in _TARGETS),
                _shown(ends[name], 100, " %"),
                _shown(moved[name]),
                _shown(spread),
            ]
        )
    header = [
        "arm",
        "seeds",
        *(f"{100 * target:.0f} % first at step" for target in _TARGETS),
        f"accuracy at step {last}",
        "movement of the median",
        "change of the spread",
    ]
    gain = ends["with BN"][0] - ends["without BN"][0]
    first = {name: _shown_steps(results, _TARGETS[-1]) for name, results in arms.items()}
    return Findings(
        figures,
        header,
        table,
        f"The first measured step with {100 * _TARGETS[-1]:.0f} % is {first['with BN']} with BN and "
        f"{first['without BN']} without; at step {last} the accuracy with BN is {100 * gain:+.1f} points. "
        f"{_stability(moved['with BN'], moved['without BN'], len(arms['with BN']))}: the median of a unit moves "
        f"{moved['with BN'][0]:.2f} times its own spread in all, without BN {moved['without BN'][0]:.2f} times.",
    )


def _accuracy_figure(arms: Mapping[str, Sequence[Result]]) -> str:
    curves = []
    for colour, (name, results) in enumerate(arms.items()):
        values = np.array([result["accuracy"] for result in results])
        low, high = list(values.min(axis=0)), list(values.max(axis=0))
        curves.append(Series(name, results[0]["step"], list(values.mean(axis=0)), low, high, colour=colour))
    y = Axis.covering("test accuracy", [value for curve in curves for value in curve.y])
    return draw("Test accuracy (band: range over seeds)", Axis("step", 0, curves[0].x[-1]), y, curves)


def _unit_figure(arms: Mapping[str, Sequence[Result]]) -> str:
    lines = [
        Series(
            f"{name}, {p} %" if p == 50 else "", results[0]["step"], results[0][f"p{p}"], colour=colour, dashed=p != 50
        )
        for colour, (name, results) in enumerate(arms.items())
        for p in _PERCENTILES
    ]
    y = Axis.covering("input", [value for line in lines for value in line.y])
    x = Axis("step", 0, lines[0].x[-1])
    return draw("Input of one sigmoid: 15th, 50th, 85th percentile (seed 0)", x, y, lines)


def _shown_steps(results: Sequence[Result], target: float) -> str:
    """The median over seeds of the first measured step with this accuracy; `none` if a seed does not reach it."""
    reached = [
        next(
            (step for step, accuracy in zip(result["step"], result["accuracy"], strict=True) if accuracy >= target),
            math.inf,
        )
        for result in results
    ]
    middle = float(np.median(reached))
    return f"{middle:,.0f}" if math.isfinite(max(reached)) else "none"


def _stability(with_bn: tuple[float, float], without: tuple[float, float], seeds: int) -> str:
    """What two movements say, each with the half width of its interval."""
    if seeds == 1:
        return "One seed cannot tell whether the inputs of units are more stable with it"
    if abs(with_bn[0] - without[0]) <= with_bn[1] + without[1]:
        return "The inputs of units are not measurably more or less stable with it"
    return f"The inputs of units are {'more' if with_bn[0] < without[0] else 'less'} stable with it"


def _shown(value: tuple[float, float], factor: float = 1, unit: str = "") -> str:
    """A mean with the half width of its interval, which a single seed has not."""
    mean, half = (factor * part for part in value)
    return f"{mean:.2f} ± {half:.2f}{unit}" if half else f"{mean:.2f}{unit}"

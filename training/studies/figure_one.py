"""Ioffe & Szegedy 2015, figure 1: accuracy over training, and the distribution of one unit's input."""

from collections.abc import Sequence

import numpy as np
import torch

from training.run import Rows
from training.studies import plain_mlp
from training.studies.chart import Axis, Series, draw
from training.studies.plain_mlp import PlainMLP
from training.studies.study import Findings, Result, Settings, Size, interval, select

title = "Accuracy over training, and the input of one unit"
question = "Does a network with batch normalisation train faster, and are the inputs of its units more stable?"
source = "Ioffe & Szegedy 2015, section 4.1 and figure 1 ([arXiv:1502.03167](https://arxiv.org/abs/1502.03167))"
setup = """MNIST; three hidden layers of 100 sigmoid units; batches of 60; Gaussian initial weights of
standard deviation 0.1; stochastic gradient descent with a learning rate of 0.1 in both arms (the paper states
none). Both arms of a seed see the same batches. The unit is the first one of the last hidden layer;
percentiles of its input are those over 1,000 test rows. 50,000 steps, as in the paper."""

_STEPS: dict[Size, int] = {"quick": 40, "full": 50_000}
_SEEDS: dict[Size, int] = {"quick": 1, "full": 3}
_POINTS = 40
_BATCH_ROWS = 60
_LEARNING_RATE = 0.1
_INITIAL_STD = 0.1
_UNIT_ROWS = 1000
_PERCENTILES = (15, 50, 85)


def runs(size: Size) -> Sequence[Settings]:
    """Both arms with every seed."""
    return [
        {"normalized": normalized, "steps": _STEPS[size], "seed": seed}
        for seed in range(_SEEDS[size])
        for normalized in (False, True)
    ]


def measure(settings: Settings, rows: Rows) -> Result:
    """Accuracy, and percentiles of the unit's input, at `_POINTS` steps."""
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
    result: dict[str, list[float]] = {"step": [], "accuracy": [], **{f"p{p}": [] for p in _PERCENTILES}}
    for number in range(1, steps + 1):
        plain_mlp.step(network, _LEARNING_RATE, rows, _BATCH_ROWS)
        if number % max(1, steps // _POINTS) == 0:
            result["step"].append(number)
            result["accuracy"].append(plain_mlp.accuracy(network, rows.test, rows.test_labels))
            network.eval()
            with torch.no_grad():
                inputs = network.activation_inputs(rows.test[:_UNIT_ROWS])[:, 0].numpy()
            network.train()
            for percentile in _PERCENTILES:
                result[f"p{percentile}"].append(float(np.percentile(inputs, percentile)))
    return result


def conclude(runs: Sequence[tuple[Settings, Result]]) -> Findings:
    """Accuracy curves with their range over seeds, and the percentiles of the first seed."""
    arms = {"without BN": select(runs, normalized=False), "with BN": select(runs, normalized=True)}
    steps = arms["with BN"][0]["step"]
    x = Axis("step", 0, steps[-1])
    curves = []
    for colour, (name, results) in enumerate(arms.items()):
        values = np.array([result["accuracy"] for result in results])
        low, high = list(values.min(axis=0)), list(values.max(axis=0))
        curves.append(Series(name, steps, list(values.mean(axis=0)), low, high, colour=colour))
    figures = {
        "accuracy": draw(
            "Test accuracy (band: range over seeds)",
            x,
            Axis.covering("test accuracy", [value for curve in curves for value in curve.y]),
            curves,
        )
    }
    lines = [
        Series(f"{name}, {p} %" if p == 50 else "", steps, results[0][f"p{p}"], colour=colour, dashed=p != 50)
        for colour, (name, results) in enumerate(arms.items())
        for p in _PERCENTILES
    ]
    y = Axis.covering("input", [value for line in lines for value in line.y])
    figures["unit"] = draw("Input of one sigmoid: 15th, 50th, 85th percentile (seed 0)", x, y, lines)
    at = len(steps) // 10
    table = []
    ends, moved = {}, {}
    for name, results in arms.items():
        early = interval([result["accuracy"][at] for result in results])
        ends[name] = interval([result["accuracy"][-1] for result in results])
        moved[name] = interval([_median_path(result) for result in results])
        shown = (_shown(early, 100, " %"), _shown(ends[name], 100, " %"), _shown(moved[name]))
        table.append([name, str(len(results)), *shown])
    gain = ends["with BN"][0] - ends["without BN"][0]
    stability = _stability(moved["with BN"], moved["without BN"], len(arms["with BN"]))
    return Findings(
        figures,
        ["arm", "seeds", f"accuracy at step {steps[at]}", f"at step {steps[-1]}", "movement of the median, in spreads"],
        table,
        f"With BN the accuracy at step {steps[-1]} is {100 * gain:+.1f} points. {stability}: its median moves "
        f"{moved['with BN'][0]:.2f} times its own spread in all, without BN {moved['without BN'][0]:.2f} times.",
    )


def _stability(with_bn: tuple[float, float], without: tuple[float, float], seeds: int) -> str:
    """What two movements say, each with the half width of its interval."""
    if seeds == 1:
        return "One seed cannot tell whether the input of the unit is more stable with it"
    if abs(with_bn[0] - without[0]) <= with_bn[1] + without[1]:
        return "The input of the unit is not measurably more or less stable with it"
    return f"The input of the unit is {'more' if with_bn[0] < without[0] else 'less'} stable with it"


def _median_path(result: Result) -> float:
    """How far the median moves in all, in units of the mean distance between the 15th and 85th percentile."""
    spread = np.mean(np.subtract(result["p85"], result["p15"]))
    return float(np.abs(np.diff(result["p50"])).sum() / spread)


def _shown(value: tuple[float, float], factor: float = 1, unit: str = "") -> str:
    """A mean with the half width of its interval, which a single seed has not."""
    mean, half = (factor * part for part in value)
    return f"{mean:.2f} ± {half:.2f}{unit}" if half else f"{mean:.2f}{unit}"

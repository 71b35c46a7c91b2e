"""Ioffe & Szegedy 2015, section 3.3: larger learning rates, and so fewer steps."""

import math
from collections.abc import Sequence

import numpy as np

from training.run import Rows
from training.studies import plain_mlp, rate_grid
from training.studies.chart import Axis, Series, draw
from training.studies.study import Findings, Result, Settings, Size, select

title = "Steps to an accuracy, by learning rate and depth"
question = (
    "Does a network with batch normalisation stand larger learning rates, and is it trained in fewer steps by them?"
)
source = rate_grid.SOURCE
setup = """MNIST; hidden layers of 64 ReLU units, with the initial weights of He et al. 2015, with which the
networks without BN begin to learn at once; batches of 64; plain stochastic gradient descent, without
momentum, at a constant learning rate. Every 25 steps the accuracy on 2,000 test rows is measured; a run ends
when it reaches 95 %, when the loss is not finite any more, or after the last step. A run that does not reach
95 % counts as not trained, for whatever reason. The best accuracy of each run is kept as well."""

_STEPS: dict[Size, int] = {"quick": 50, "full": 2_000}
_SEEDS: dict[Size, int] = {"quick": 1, "full": 3}
_DEPTHS: dict[Size, tuple[int, ...]] = {"quick": (3,), "full": (3, 10)}
_RATES: dict[Size, tuple[float, ...]] = {
    "quick": (0.1,),
    "full": (0.03, 0.1, 0.3, 1.0, 3.0),
}
_TARGET = 0.95
_EVERY = 25
_TEST_ROWS = 2000


def runs(size: Size) -> Sequence[Settings]:
    """Every learning rate at every depth, with and without, with every seed."""
    return rate_grid.every_run(_STEPS[size], _SEEDS[size], _DEPTHS[size], _RATES[size])


def measure(settings: Settings, rows: Rows) -> Result:
    """The step at which the accuracy was reached, or null; and the best accuracy."""
    network = rate_grid.build(settings, rows)
    rate = float(settings["rate"])
    best = 0.0
    for number in range(1, int(settings["steps"]) + 1):
        if not math.isfinite(plain_mlp.step(network, rate, rows, rate_grid.BATCH_ROWS)):
            break
        if number % _EVERY == 0:
            best = max(best, plain_mlp.accuracy(network, rows.test[:_TEST_ROWS], rows.test_labels[:_TEST_ROWS]))
            if best >= _TARGET:
                return {"reached": number, "best": best}
    return {"reached": None, "best": best}


def conclude(runs: Sequence[tuple[Settings, Result]]) -> Findings:
    """Median steps by learning rate; the largest rate at which every seed is trained; the best accuracies."""
    depths = sorted({int(settings["depth"]) for settings, _ in runs})
    rates = sorted({float(settings["rate"]) for settings, _ in runs})
    last = max(int(settings["steps"]) for settings, _ in runs)
    lines, table = [], []
    largest: dict[tuple[int, bool], float] = {}
    fewest: dict[tuple[int, bool], float] = {}
    for depth in depths:
        for normalized in (False, True):
            by_rate = [select(runs, depth=depth, rate=rate, normalized=normalized) for rate in rates]
            steps = [_median_steps(results) for results in by_rate]
            trained = [rate for rate, found in zip(rates, steps, strict=True) if math.isfinite(found)]
            name = f"{depth} layers, {'with' if normalized else 'without'} BN"
            lines.append(Series(name, rates, steps, colour=int(normalized), dashed=depth != depths[0]))
            largest[depth, normalized] = max(trained, default=math.nan)
            fewest[depth, normalized] = min(steps)
            table.append([name, str(len(by_rate[0])), *map(_steps, by_rate)])
    x = Axis("learning rate", rates[0] / 1.2, rates[-1] * 1.2, is_log=True, at=rates)
    figure = draw("Median steps to 95 % test accuracy", x, Axis("steps", 0, last), lines)
    sentences = [
        f"{depth} layers: the largest learning rate that reaches 95 % in all seeds is {_rate(largest[depth, True])} "
        f"with BN and {_rate(largest[depth, False])} without; the fewest steps are {_count(fewest[depth, True])} and "
        f"{_count(fewest[depth, False])}."
        for depth in depths
    ]
    header = ["median steps (fewest to most), or the best accuracy", "seeds", *(f"rate {rate:g}" for rate in rates)]
    return Findings({"steps": figure}, header, table, " ".join(sentences))


def _median_steps(results: Sequence[Result]) -> float:
    """Infinite unless every seed was trained."""
    reached = [result["reached"] for result in results]
    return math.inf if None in reached else float(np.median(reached))


def _steps(results: Sequence[Result]) -> str:
    """The median of the steps, and their range over the seeds; the best accuracy, if a seed did not reach 95 %.

    A run that ends before the first accuracy has none.
    """
    reached = [result["reached"] for result in results]
    if None in reached:
        best = _median_best(results)
        return f"best {best:.1f} %" if best else "diverged"
    return f"{np.median(reached):.0f} ({min(reached)} to {max(reached)})"


def _median_best(results: Sequence[Result]) -> float:
    """In percent."""
    return 100 * float(np.median([result["best"] for result in results]))


def _rate(value: float) -> str:
    return "none" if math.isnan(value) else f"{value:g}"


def _count(steps: float) -> str:
    return f"{steps:.0f}" if math.isfinite(steps) else "none"

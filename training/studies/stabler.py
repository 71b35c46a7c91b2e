"""Ioffe & Szegedy 2015, section 3.3: the largest learning rate that does not diverge, by depth."""

import math
from collections.abc import Sequence

import numpy as np

from training.run import Rows
from training.studies import plain_mlp, rate_grid
from training.studies.chart import Axis, Series, draw
from training.studies.study import Findings, Result, Settings, Size, select

title = "The largest learning rate, by depth"
question = (
    "Does a network with batch normalisation diverge only at larger learning rates, and does its depth matter less?"
)
source = rate_grid.SOURCE
setup = """MNIST; hidden layers of 64 ReLU units, with the initial weights of He et al. 2015, with which the
networks without BN begin to learn at once; batches of 64; plain stochastic gradient descent, without
momentum, at a constant learning rate. A run diverges if a loss is not finite, or if the mean loss of its last
20 steps is more than 2.2: guessing has ln 10 = 2.30. So a network whose units have all become zero counts as
diverged."""

_STEPS: dict[Size, int] = {"quick": 40, "full": 300}
_SEEDS: dict[Size, int] = {"quick": 1, "full": 3}
_DEPTHS: dict[Size, tuple[int, ...]] = {"quick": (3,), "full": (3, 10, 20)}
_RATES: dict[Size, tuple[float, ...]] = {
    "quick": (0.3, 30.0),
    "full": (0.1, 0.3, 1.0, 3.0, 10.0),
}
_LAST = 20
_GUESSING = 2.2


def runs(size: Size) -> Sequence[Settings]:
    """Every learning rate at every depth, with and without, with every seed."""
    return rate_grid.every_run(_STEPS[size], _SEEDS[size], _DEPTHS[size], _RATES[size])


def measure(settings: Settings, rows: Rows) -> Result:
    """The mean loss of the last steps; null if a loss was not finite."""
    network = rate_grid.build(settings, rows)
    rate = float(settings["rate"])
    losses = []
    for _ in range(int(settings["steps"])):
        losses.append(plain_mlp.step(network, rate, rows, rate_grid.BATCH_ROWS))
        if not math.isfinite(losses[-1]):
            return {"loss": None}
    return {"loss": float(np.mean(losses[-_LAST:]))}


def conclude(runs: Sequence[tuple[Settings, Result]]) -> Findings:
    """The loss at the end by learning rate, and the largest rate at which no seed diverges."""
    depths = sorted({int(settings["depth"]) for settings, _ in runs})
    rates = sorted({float(settings["rate"]) for settings, _ in runs})
    lines, table = [], []
    largest: dict[tuple[int, bool], str] = {}
    for depth in depths:
        for normalized in (False, True):
            by_rate = [select(runs, depth=depth, rate=rate, normalized=normalized) for rate in rates]
            losses = [_worst(results) for results in by_rate]
            largest[depth, normalized] = _largest_stable(rates, losses)
            by_seed = [_largest_stable(rates, [_worst([loss]) for loss in seed]) for seed in zip(*by_rate, strict=True)]
            name = f"{depth} layers, {'with' if normalized else 'without'} BN"
            shown = depth in (depths[0], depths[-1])
            if shown:
                lines.append(Series(name, rates, losses, colour=int(normalized), dashed=depth != depths[0]))
            cells = [f"{loss:.2f}" if math.isfinite(loss) else "-" for loss in losses]
            table.append([name, str(len(by_rate[0])), *cells, largest[depth, normalized], ", ".join(by_seed)])
    x = Axis("learning rate", rates[0] / 1.2, rates[-1] * 1.2, is_log=True, at=rates)
    figure = draw("Loss of the last steps, of the worst seed", x, Axis("loss", 0, 4), lines)
    sentences = [
        f"{depth} layers: the largest learning rate at which no seed diverges is {largest[depth, True]} with BN and "
        f"{largest[depth, False]} without."
        for depth in depths
    ]
    rate_columns = (f"rate {rate:g}" for rate in rates)
    header = ["loss of the worst seed", "seeds", *rate_columns, "largest stable rate", "of each seed"]
    return Findings({"loss": figure}, header, table, " ".join(sentences))


def _largest_stable(rates: Sequence[float], losses: Sequence[float]) -> str:
    stable = [rate for rate, loss in zip(rates, losses, strict=True) if loss <= _GUESSING]
    return f"{max(stable):g}" if stable else "none"


def _worst(results: Sequence[Result]) -> float:
    """Infinite if a seed's loss was not finite."""
    losses = [result["loss"] for result in results]
    return math.inf if None in losses else float(max(losses))

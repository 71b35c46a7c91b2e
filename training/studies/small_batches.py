"""Wu & He 2018 and Wu & Johnson 2021: what batch normalisation loses in small batches, and others do not."""

from collections.abc import Callable, Sequence

import torch
from torch import nn

from training import population
from training.run import Rows
from training.studies import plain_mlp
from training.studies.chart import Axis, Series, draw
from training.studies.plain_mlp import PlainMLP
from training.studies.study import Findings, Result, Settings, Size, interval, select

title = "Small batches"
question = (
    "Does batch normalisation lose accuracy in small batches, where GroupNorm and LayerNorm do not? "
    "Does PreciseBN help?"
)
source = (
    "Wu & He 2018 ([arXiv:1803.08494](https://arxiv.org/abs/1803.08494)); "
    "Wu & Johnson 2021, section 3 ([arXiv:2105.07576](https://arxiv.org/abs/2105.07576))"
)
setup = """MNIST; three hidden layers of 64 ReLU units with BatchNorm1d, GroupNorm of 8 groups, or LayerNorm;
initial weights of He et al. 2015; plain stochastic gradient descent. Every batch size sees the same number of
rows, with a learning rate in proportion to it (0.1 for 32 rows) that it reaches in the first tenth of the
steps, as in Goyal et al. 2017. Test accuracy in evaluation mode. The network with BN is evaluated twice: with
the exponential averages of training (EMA; torch's, 0.9 kept), and with population statistics of 10,000
training rows in batches of 256 (PreciseBN)."""

_ROWS: dict[Size, int] = {"quick": 1_000, "full": 20_480}
_SEEDS: dict[Size, int] = {"quick": 1, "full": 3}
_BATCHES: dict[Size, tuple[int, ...]] = {
    "quick": (16,),
    "full": (2, 4, 8, 32, 128, 256),
}
_DEPTH, _WIDTH = 3, 64
_RATE_PER_ROW = 0.1 / 32
_STATISTICS_ROWS = 10_000
_WARM_UP = 0.1

_NORMS: dict[str, Callable[[], nn.Module]] = {
    "BN": lambda: nn.BatchNorm1d(_WIDTH),
    "GroupNorm": lambda: nn.GroupNorm(8, _WIDTH),
    "LayerNorm": lambda: nn.LayerNorm(_WIDTH),
}
_CURVES = {"BN, EMA": ("BN", "accuracy"), "BN, PreciseBN": ("BN", "precise")} | {
    norm: (norm, "accuracy") for norm in ("GroupNorm", "LayerNorm")
}
"""The norm of each curve, and its figure."""


def runs(size: Size) -> Sequence[Settings]:
    """Every batch size with every kind of layer and seed."""
    return [
        {"norm": norm, "batch": batch, "rows": _ROWS[size], "seed": seed}
        for seed in range(_SEEDS[size])
        for batch in _BATCHES[size]
        for norm in _NORMS
    ]


def measure(settings: Settings, rows: Rows) -> Result:
    """The test accuracy; of BN, with population statistics as well."""
    batch = int(settings["batch"])
    network = PlainMLP(rows.train.shape[1], _DEPTH, _WIDTH, normalized=False, activation=torch.relu)
    network.norms = nn.ModuleList(_NORMS[str(settings["norm"])]() for _ in range(_DEPTH))
    steps = int(settings["rows"]) // batch
    for number in range(steps):
        warm = min(1.0, (number + 1) / (_WARM_UP * steps))
        plain_mlp.step(network, warm * _RATE_PER_ROW * batch, rows, batch)
    result = {"accuracy": plain_mlp.accuracy(network, rows.test, rows.test_labels)}
    if settings["norm"] == "BN":
        population.store_statistics(network.eval(), population.batches(rows.train[:_STATISTICS_ROWS]))
        result["precise"] = plain_mlp.accuracy(network, rows.test, rows.test_labels)
    return result


def conclude(runs: Sequence[tuple[Settings, Result]]) -> Findings:
    """Accuracy by batch size, and what the smallest and the largest cost."""
    batches = sorted({int(settings["batch"]) for settings, _ in runs})
    curves = {
        name: [interval([found[figure] for found in select(runs, norm=norm, batch=batch)]) for batch in batches]
        for name, (norm, figure) in _CURVES.items()
    }
    x = Axis("rows of a batch", batches[0] / 1.2, batches[-1] * 1.2, is_log=True, at=batches)
    lines = [
        Series(name, batches, [mean for mean, _ in values], colour=colour, dashed=name == "BN, PreciseBN")
        for colour, (name, values) in enumerate(curves.items())
    ]
    figure = draw(
        "Test accuracy by batch size", x, Axis.covering("test accuracy", [v for line in lines for v in line.y]), lines
    )
    table = [
        [str(batch), *(f"{100 * values[row][0]:.2f} ± {100 * values[row][1]:.2f} %" for values in curves.values())]
        for row, batch in enumerate(batches)
    ]
    sentences = []
    for row in (0, -1):
        parts = (
            f"{100 * values[row][0]:.1f} ± {100 * values[row][1]:.1f} % ({name})" for name, values in curves.items()
        )
        sentences.append(f"Batches of {batches[row]}: {', '.join(parts)}.")
    pairs = [select(runs, norm="BN", batch=batch) for batch in batches]
    gains = [interval([100 * (found["precise"] - found["accuracy"]) for found in results]) for results in pairs]
    changes = ", ".join(f"{mean:+z.1f} ± {half:.1f}" for mean, half in gains)
    sizes = ", ".join(map(str, batches))
    sentences.append(
        f"In the same networks, PreciseBN in place of EMA changes the accuracy by {changes} points for batches of "
        f"{sizes}."
    )
    return Findings({"accuracy": figure}, ["rows of a batch", *curves], table, " ".join(dict.fromkeys(sentences)))

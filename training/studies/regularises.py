"""Ioffe & Szegedy 2015, section 3.4: batch normalisation regularises; beside dropout."""

from collections.abc import Sequence

from torch import nn

from training.run import Rows
from training.studies import plain_mlp
from training.studies.chart import Axis, Series, draw
from training.studies.plain_mlp import PlainMLP
from training.studies.study import Findings, Result, Settings, Size, interval, select

title = "Training and test accuracy, by batch size"
question = "Does batch normalisation narrow the gap between training and test accuracy, as dropout does?"
source = (
    "Ioffe & Szegedy 2015, section 3.4 ([arXiv:1502.03167](https://arxiv.org/abs/1502.03167)); "
    "Srivastava et al. 2014 ([dropout](https://jmlr.org/papers/v15/srivastava14a.html))"
)
setup = """The first 1,000 training rows of MNIST; two hidden layers of 100 ReLU units, each followed by
dropout of 0.5 in two of the four arms; initial weights of He et al. 2015; plain stochastic gradient descent
with a learning rate of 0.1, and the same number of steps for every batch size: an arm that has not fitted its
rows yet has no gap to narrow. Both accuracies are those of evaluation mode, of the 1,000 training rows and of
all test rows."""

_STEPS: dict[Size, int] = {"quick": 60, "full": 1_500}
_SEEDS: dict[Size, int] = {"quick": 1, "full": 3}
_BATCHES: dict[Size, tuple[int, ...]] = {"quick": (32,), "full": (8, 32, 128)}
_ARMS = ("neither", "BN", "dropout", "both")
_ROWS = 1000
_WIDTH = 100
_LEARNING_RATE = 0.1
_DROPPED = 0.5


def runs(size: Size) -> Sequence[Settings]:
    """Every batch size in every arm, with every seed."""
    return [
        {"arm": arm, "batch": batch, "steps": _STEPS[size], "seed": seed}
        for seed in range(_SEEDS[size])
        for batch in _BATCHES[size]
        for arm in _ARMS
    ]


def measure(settings: Settings, rows: Rows) -> Result:
    """The accuracies on the training rows and on the test rows."""
    arm, batch = settings["arm"], int(settings["batch"])
    few = Rows(rows.train[:_ROWS], rows.train_labels[:_ROWS], rows.test, rows.test_labels)
    dropout = nn.Dropout(_DROPPED if arm in ("dropout", "both") else 0.0)
    network = PlainMLP(
        few.train.shape[1],
        2,
        _WIDTH,
        normalized=arm in ("BN", "both"),
        activation=nn.Sequential(nn.ReLU(), dropout),
    )
    for _ in range(int(settings["steps"])):
        plain_mlp.step(network, _LEARNING_RATE, few, batch)
    return {
        "train": plain_mlp.accuracy(network, few.train, few.train_labels),
        "test": plain_mlp.accuracy(network, few.test, few.test_labels),
    }


def conclude(runs: Sequence[tuple[Settings, Result]]) -> Findings:
    """The gap by batch size, and whether each arm narrows it."""
    batches = sorted({int(settings["batch"]) for settings, _ in runs})
    table = []
    gaps: dict[tuple[str, int], tuple[float, float]] = {}
    for arm in _ARMS:
        for batch in batches:
            results = select(runs, arm=arm, batch=batch)
            gaps[arm, batch] = interval([result["train"] - result["test"] for result in results])
            accuracies = (interval([result[rows] for result in results]) for rows in ("train", "test"))
            cells = map(_percent, (*accuracies, gaps[arm, batch]))
            table.append([arm, str(batch), str(len(results)), *cells])
    x = Axis("rows of a batch", batches[0] / 1.2, batches[-1] * 1.2, is_log=True, at=batches)
    y = Axis.covering("gap", [end for mean, half in gaps.values() for end in (mean - half, mean + half)])
    lines = [
        Series(
            arm,
            batches,
            [gaps[arm, batch][0] for batch in batches],
            [gaps[arm, batch][0] - gaps[arm, batch][1] for batch in batches],
            [gaps[arm, batch][0] + gaps[arm, batch][1] for batch in batches],
            colour=colour,
        )
        for colour, arm in enumerate(_ARMS)
    ]
    figure = draw("Training less test accuracy (band: 95 % interval)", x, y, lines)
    header = ["arm", "rows of a batch", "seeds", "training accuracy", "test accuracy", "gap"]
    return Findings({"gap": figure}, header, table, _verdict(gaps, batches))


def _verdict(gaps: dict[tuple[str, int], tuple[float, float]], batches: Sequence[int]) -> str:
    """Whether BN regularises, and where each arm has another gap than neither, by more than both half widths."""
    sentences = []
    for arm in _ARMS[1:]:
        found = {batch: _narrows(gaps["neither", batch], gaps[arm, batch]) for batch in batches}
        narrower = [str(batch) for batch, sign in found.items() if sign > 0]
        wider = [str(batch) for batch, sign in found.items() if sign < 0]
        if arm == "BN":
            sentences.append(f"That BN regularises {'is seen' if narrower else 'is not seen'} here.")
        parts = [f"{how} in batches of {', '.join(at)}" for how, at in (("narrower", narrower), ("wider", wider)) if at]
        name = {"BN": "With BN", "dropout": "With dropout", "both": "With both"}[arm]
        sentences.append(f"{name} the gap is {' and '.join(parts) or 'not measurably other at any batch size'}.")
    return " ".join(sentences)


def _narrows(plain: tuple[float, float], other: tuple[float, float]) -> int:
    """1 if the other gap is narrower, -1 if it is wider, 0 unless they differ by more than both half widths."""
    difference = plain[0] - other[0]
    if abs(difference) <= plain[1] + other[1]:
        return 0
    return 1 if difference > 0 else -1


def _percent(value: tuple[float, float]) -> str:
    return f"{100 * value[0]:.1f} ± {100 * value[1]:.1f} %"

"""What it costs to predict in training mode: with the statistics of the batch in place of the stored ones."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from training.run import Rows
from training.studies import plain_mlp
from training.studies.chart import Axis, Series, draw
from training.studies.plain_mlp import PlainMLP
from training.studies.study import Findings, Result, Settings, Size, interval, select

title = "Training mode at inference"
question = "What does it cost to forget `eval()`, by the size of the batch and by the classes in it?"
source = "Ioffe & Szegedy 2015, section 3.1 and algorithm 2 ([arXiv:1502.03167](https://arxiv.org/abs/1502.03167))"
setup = """MNIST; three hidden layers of 100 ReLU units with BN, initial weights of He et al. 2015, trained by
stochastic gradient descent (learning rate 0.1, batches of 64). The test rows are predicted in evaluation
mode, and in training mode in batches of 2 to 256 rows: of mixed classes, drawn at random, and of one class
each, as when requests of one kind come together. A batch of one row has no variance, and torch refuses it.
The running statistics are not updated in between."""

_STEPS: dict[Size, int] = {"quick": 60, "full": 5_000}
_SEEDS: dict[Size, int] = {"quick": 1, "full": 3}
_BATCHES = (2, 4, 8, 16, 32, 64, 128, 256)
_LEARNING_RATE = 0.1
_BATCH_ROWS = 64


def runs(size: Size) -> Sequence[Settings]:
    """One network for each seed."""
    return [{"steps": _STEPS[size], "seed": seed} for seed in range(_SEEDS[size])]


def measure(settings: Settings, rows: Rows) -> Result:
    """The accuracy in evaluation mode, and in training mode by size of the batch."""
    network = PlainMLP(rows.train.shape[1], 3, 100, normalized=True, activation=torch.relu)
    for _ in range(int(settings["steps"])):
        plain_mlp.step(network, _LEARNING_RATE, rows, _BATCH_ROWS)
    mixed = torch.randperm(len(rows.test))
    of_one_class = [torch.nonzero(rows.test_labels == label)[:, 0] for label in range(10)]
    return {
        "eval": plain_mlp.accuracy(network, rows.test, rows.test_labels),
        "mixed": [_train_mode_accuracy(network, rows, torch.split(mixed, size)) for size in _BATCHES],
        "one class": [
            _train_mode_accuracy(network, rows, [b for found in of_one_class for b in torch.split(found, size)])
            for size in _BATCHES
        ],
    }


@torch.no_grad()
def _train_mode_accuracy(network: PlainMLP, rows: Rows, batches: Sequence[Tensor]) -> float:
    network.train()
    correct = count = 0
    for batch in batches:
        if len(batch) > 1:
            correct += int((network(rows.test[batch]).argmax(dim=1) == rows.test_labels[batch]).sum())
            count += len(batch)
    return correct / count


def conclude(runs: Sequence[tuple[Settings, Result]]) -> Findings:
    """Accuracy by size of the batch, and what the smallest and largest cost."""
    results = select(runs)
    expected = interval([result["eval"] for result in results])
    by_mix = {mix: np.array([result[mix] for result in results]) for mix in ("mixed", "one class")}
    x = Axis("rows of a batch", 1.8, 280, is_log=True, at=_BATCHES)
    lines = [
        Series(f"training mode, {mix}", _BATCHES, list(found.mean(axis=0)), colour=colour)
        for colour, (mix, found) in enumerate(by_mix.items())
    ]
    lines.append(Series("eval mode", _BATCHES, [expected[0]] * len(_BATCHES), colour=2, dashed=True))
    table = [["evaluation", "any", f"{100 * expected[0]:.2f} ± {100 * expected[1]:.2f} %"]]
    for mix, found in by_mix.items():
        for column, size in enumerate(_BATCHES):
            mean, half = interval(list(found[:, column]))
            table.append([f"training, {mix}", str(size), f"{100 * mean:.2f} ± {100 * half:.2f} %"])
    mixed, single = (found.mean(axis=0) for found in by_mix.values())
    return Findings(
        {"accuracy": draw("Test accuracy by mode", x, Axis("test accuracy", 0, 1), lines)},
        ["mode", "rows of a batch", "test accuracy"],
        table,
        f"In evaluation mode {100 * expected[0]:.1f} % are right. In training mode it depends on the other rows: "
        f"{100 * mixed[0]:.1f} % in pairs and {100 * mixed[-1]:.1f} % in batches of 256 of mixed classes, but "
        f"{100 * single[-1]:.1f} % where all 256 rows are of one class, which no size of batch mends.",
    )

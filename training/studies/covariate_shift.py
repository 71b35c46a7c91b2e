"""Santurkar et al. 2018: is it the covariate shift that batch normalisation reduces, or is it the loss it smooths?"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.run import Rows
from training.studies import plain_mlp
from training.studies.chart import Axis, Series, draw
from training.studies.noise import Noise
from training.studies.plain_mlp import PlainMLP
from training.studies.study import Findings, Result, Settings, Size, interval, select

title = "Internal covariate shift during training"
question = (
    "Does batch normalisation reduce internal covariate shift, and is that why a network trains faster? "
    "Or does it make the loss smoother?"
)
source = (
    "Ioffe & Szegedy 2015 ([arXiv:1502.03167](https://arxiv.org/abs/1502.03167)); Santurkar et al. 2018, "
    "definition 2.1 and figures 2 to 4 ([arXiv:1805.11604](https://arxiv.org/abs/1805.11604))"
)
setup = """MNIST; five hidden layers of 64 ReLU units, with the initial weights of He et al. 2015, with which
the network without BN begins to learn at once; batches of 128; plain stochastic gradient descent with a
learning rate of 0.1; three arms: without BN, with BN, and with noise after each BN layer that shifts every
unit by other numbers at every step. At some steps, on the batch of the step and before it is taken:
**moments**, the symmetric KL divergence between the inputs of the activations before and after the step, as
normal distributions of each unit on the same batch, the mean over units and layers; **gradient difference**
and **cosine**, of the gradient of each linear layer before and after the layers before it have taken the
step, the difference relative to the gradient, the mean over layers; **range of the loss** and **change of the
gradient** (relative to the gradient) over steps of 0.5 to 4 times the learning rate along the gradient, and
**smoothness**, the largest change of the gradient for the length of the step (their effective β-smoothness:
the smaller, the smoother, and the better the gradient predicts what comes). In the arm with noise, the noise
is the same in all evaluations of one step, except for the moments after it."""

_STEPS: dict[Size, int] = {"quick": 30, "full": 1_000}
_SEEDS: dict[Size, int] = {"quick": 1, "full": 5}
_POINTS: dict[Size, int] = {"quick": 3, "full": 25}
_ARMS = ("without BN", "with BN", "BN and noise")
_DEPTH, _WIDTH = 5, 64
_BATCH_ROWS = 128
_LEARNING_RATE = 0.1
_FACTORS = (0.5, 1.0, 2.0, 4.0)
_TEST_ROWS = 2000
_SMALLEST_VARIANCE = 1e-6
"""Units that are constant on a batch have no distribution to compare."""

_MEASURES = {
    "moments": "shift of the moments (symmetric KL)",
    "difference": "gradient difference",
    "cosine": "cosine of the gradients",
    "range": "range of the loss",
    "change": "change of the gradient",
    "smoothness": "effective β-smoothness",
}
_LABELS = {"accuracy": "test accuracy", **_MEASURES}
_BY_LAYER = {"moments": 1, "difference": 2}
"""Measures that are the mean over layers of a figure of each, from this layer on."""


_CLAIMS = {
    "BN reduces the shift of the moments": "moments",
    "BN reduces the shift of the gradients": "difference",
    "BN makes the loss smoother along the gradient": "smoothness",
}
"""What is claimed to be less with BN, and its measure."""
_OUTCOMES = {"less": "holds here", "more": "the opposite holds here", "not measurably other": "not seen here"}


def runs(size: Size) -> Sequence[Settings]:
    """Every arm with every seed."""
    return [
        {"arm": arm, "steps": _STEPS[size], "points": _POINTS[size], "seed": seed}
        for seed in range(_SEEDS[size])
        for arm in _ARMS
    ]


def measure(settings: Settings, rows: Rows) -> Result:
    """The measures at some steps, with the test accuracy after them."""
    network = PlainMLP(
        rows.train.shape[1], _DEPTH, _WIDTH, normalized=settings["arm"] != "without BN", activation=torch.relu
    )
    if settings["arm"] == "BN and noise":
        network.norms = nn.ModuleList(nn.Sequential(norm, Noise()) for norm in network.norms)
    steps, points = int(settings["steps"]), int(settings["points"])
    result: dict[str, list[float | list[float]]] = {"step": [], "accuracy": []}
    for number in range(1, steps + 1):
        if number % (steps // points):
            plain_mlp.step(network, _LEARNING_RATE, rows, _BATCH_ROWS)
            continue
        batch = torch.randint(len(rows.train), (_BATCH_ROWS,))
        found = _Probe(network, rows.train[batch], rows.train_labels[batch], seed=number).measure()
        result["step"].append(number)
        for name, value in found.items():
            result.setdefault(name, []).append(value)
        accuracy = plain_mlp.accuracy(network, rows.test[:_TEST_ROWS], rows.test_labels[:_TEST_ROWS])
        result["accuracy"].append(accuracy)
    return result


class _Probe:
    """Measures one step of a network on a batch, and takes it.

    Args:
        network: in training mode.
        rows, labels: the batch.
        seed: of the noise.
    """

    def __init__(self, network: PlainMLP, rows: Tensor, labels: Tensor, seed: int) -> None:
        self._network = network
        self._rows = rows
        self._labels = labels
        self._seed = seed
        self._parameters = list(network.parameters())
        self._layers = [*network.linears, network.output]

    def measure(self) -> dict[str, float | list[float]]:
        """The measures by name, and those by layer. The network has taken the step afterwards."""
        loss, gradients, before = self._evaluate(self._seed)
        once = [buffer.clone() for buffer in self._network.buffers()]
        start = [parameter.detach().clone() for parameter in self._parameters]
        along = self._along(loss, start, gradients)
        differences, cosines = self._after_preceding_layers(start, gradients)
        self._move(start, gradients, _LEARNING_RATE)
        _, _, after = self._evaluate(self._seed + 1)
        for buffer, value in zip(self._network.buffers(), once, strict=True):
            buffer.copy_(value)  # the running statistics of one pass, as in a step that is not measured
        moments = [_divergence(a, b) for a, b in zip(before, after, strict=True)]
        return {
            "moments": float(np.mean(moments)),
            "difference": float(np.mean(differences)),
            "cosine": float(np.mean(cosines)),
            **along,
            "moments by layer": moments,
            "difference by layer": differences,
        }

    def _evaluate(self, seed: int) -> tuple[float, list[Tensor], list[Tensor]]:
        """The loss, the gradient of each parameter, and the inputs of each layer's activations."""
        inputs: list[Tensor] = []

        def keep(_module: nn.Module, _args: object, output: Tensor) -> None:
            inputs.append(output.detach())

        hooks = [norm.register_forward_hook(keep) for norm in self._network.norms]
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            loss = functional.cross_entropy(self._network(self._rows), self._labels)
        for hook in hooks:
            hook.remove()
        return loss.item(), list(torch.autograd.grad(loss, self._parameters)), inputs

    @torch.no_grad()
    def _move(self, start: Sequence[Tensor], gradients: Sequence[Tensor], rate: float) -> None:
        for parameter, value, gradient in zip(self._parameters, start, gradients, strict=True):
            parameter.copy_(value - rate * gradient)

    def _along(self, loss: float, start: Sequence[Tensor], gradients: Sequence[Tensor]) -> dict[str, float]:
        """The loss and the gradient over steps of several sizes along the gradient (figures 4 a to c)."""
        losses, changes = [loss], []
        for factor in _FACTORS:
            self._move(start, gradients, factor * _LEARNING_RATE)
            reached, there, _ = self._evaluate(self._seed)
            losses.append(reached)
            changes.append(_distance(there, gradients) / _norm(gradients))
        self._move(start, gradients, 0.0)
        by_length = [change / (factor * _LEARNING_RATE) for factor, change in zip(_FACTORS, changes, strict=True)]
        return {"range": max(losses) - min(losses), "change": max(changes), "smoothness": max(by_length)}

    def _after_preceding_layers(
        self, start: Sequence[Tensor], gradients: Sequence[Tensor]
    ) -> tuple[list[float], list[float]]:
        """Of each linear layer but the first: its gradient after the layers before it have moved (definition 2.1)."""
        places = {id(parameter): place for place, parameter in enumerate(self._parameters)}
        differences, cosines = [], []
        for number in range(1, len(self._layers)):
            before = [*self._layers[:number], *self._network.norms[:number]]
            moved = {places[id(parameter)] for layer in before for parameter in layer.parameters()}
            step = [g if place in moved else torch.zeros_like(g) for place, g in enumerate(gradients)]
            self._move(start, step, _LEARNING_RATE)
            _, found, _ = self._evaluate(self._seed)
            weight = places[id(self._layers[number].weight)]
            old, new = gradients[weight], found[weight]
            differences.append(_distance([new], [old]) / _norm([old]))
            cosines.append(float((old * new).sum()) / (_norm([old]) * _norm([new])))
        self._move(start, gradients, 0.0)
        return differences, cosines


def _norm(tensors: Sequence[Tensor]) -> float:
    return max(float(torch.sqrt(sum(((t**2).sum() for t in tensors), torch.tensor(0.0)))), 1e-12)


def _distance(first: Sequence[Tensor], second: Sequence[Tensor]) -> float:
    return _norm([a - b for a, b in zip(first, second, strict=True)])


def _divergence(before: Tensor, after: Tensor) -> float:
    """Symmetric KL divergence of the units as normal distributions, KL(p, q) + KL(q, p), the mean over the units."""
    (var_p, mean_p), (var_q, mean_q) = (torch.var_mean(x.double(), dim=0, correction=0) for x in (before, after))
    live = (var_p > _SMALLEST_VARIANCE) & (var_q > _SMALLEST_VARIANCE)
    var_p, var_q, squared = var_p[live], var_q[live], (mean_p - mean_q)[live] ** 2
    both = ((var_p + squared) / var_q + (var_q + squared) / var_p) / 2 - 1
    return float(both.mean()) if len(both) else 0.0


def conclude(runs: Sequence[tuple[Settings, Result]]) -> Findings:
    """The measures over training, and which arm has more of each."""
    arms = {arm: select(runs, arm=arm) for arm in _ARMS}
    steps = arms["with BN"][0]["step"]
    x = Axis("step", 0, steps[-1])
    figures = {}
    for name in _LABELS:
        curves = _curves(arms, steps, name)
        figures[name] = draw(f"{_title(name)}, mean over seeds", x, _axis(name, curves), curves)
    for name in _BY_LAYER:
        figures[f"{name}-by-layer"] = _by_layer(arms, name)
    means = {
        (arm, name): interval([float(np.mean(result[name])) for result in results])
        for arm, results in arms.items()
        for name in _LABELS
    }
    table = [[arm, str(len(results)), *(_shown(means[arm, name]) for name in _LABELS)] for arm, results in arms.items()]
    header = ["mean over training", "seeds", *_LABELS.values()]
    return Findings(figures, header, table, _verdict(arms, means, steps[0]))


def _curves(arms: dict[str, list[Result]], steps: Sequence[float], name: str) -> list[Series]:
    means = {arm: np.mean([result[name] for result in results], axis=0) for arm, results in arms.items()}
    return [Series(arm, steps, list(mean), colour=colour) for colour, (arm, mean) in enumerate(means.items())]


def _by_layer(arms: Mapping[str, list[Result]], name: str) -> str:
    """A measure of each layer, the mean over training and seeds."""
    means = {
        arm: np.mean([result[f"{name} by layer"] for result in results], axis=(0, 1)) for arm, results in arms.items()
    }
    layers = [_BY_LAYER[name] + place for place in range(len(means["with BN"]))]
    lines = [Series(arm, layers, list(mean), colour=colour) for colour, (arm, mean) in enumerate(means.items())]
    x = Axis("layer", layers[0] - 0.3, layers[-1] + 0.3, at=layers)
    return draw(f"{_title(name)} by layer, mean over training", x, _axis(name, lines), lines)


def _axis(name: str, lines: Sequence[Series]) -> Axis:
    return Axis.covering(_LABELS[name], [value for line in lines for value in line.y], is_log=name == "moments")


def _title(name: str) -> str:
    return _LABELS[name][0].upper() + _LABELS[name][1:]


def _verdict(
    arms: Mapping[str, list[Result]], means: Mapping[tuple[str, str], tuple[float, float]], first_step: int
) -> str:
    """What the runs show of each claim: a difference counts beyond both intervals."""
    early = {arm: interval([result["accuracy"][0] for result in results]) for arm, results in arms.items()}
    with_bn, without, noisy = (
        {name: means[arm, name] for name in _LABELS} for arm in ("with BN", "without BN", "BN and noise")
    )
    sentences = [
        f"{claim}: {_OUTCOMES[_comparison(with_bn[name], without[name])]} ({_LABELS[name]} {with_bn[name][0]:.3g}, "
        f"without BN {without[name][0]:.3g}, with noise after BN {noisy[name][0]:.3g})."
        for claim, name in _CLAIMS.items()
    ]
    ratio = noisy["moments"][0] / without["moments"][0]
    start = _comparison(early["BN and noise"], early["without BN"])
    shifts_more = _comparison(noisy["moments"], without["moments"]) == "more"
    told = {"more": "not seen here", "less": "not excluded here"}.get(start, "cannot be told here")
    sentences.append(
        f"That the smaller shift is why BN trains faster: {told if shifts_more else 'cannot be told here'}. With noise "
        f"after BN the moments shift {ratio:.2g} times as much as without BN; the accuracy at step {first_step} is "
        f"{early['BN and noise'][0]:.3f} with noise, {early['without BN'][0]:.3f} without BN and "
        f"{early['with BN'][0]:.3f} with BN."
    )
    return " ".join(sentences)


def _comparison(value: tuple[float, float], other: tuple[float, float]) -> str:
    if abs(value[0] - other[0]) <= value[1] + other[1]:
        return "not measurably other"
    return "more" if value[0] > other[0] else "less"


def _shown(value: tuple[float, float]) -> str:
    return f"{value[0]:.3g} ± {value[1]:.2g}"

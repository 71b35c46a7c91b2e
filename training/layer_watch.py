"""Statistics of normalisation layers at every step of training.

No activation is read twice. A layer has averaged the batch's moments into its running statistics, so those of the batch
follow from the update (m: torch's momentum, the weight of the batch; Ioffe & Szegedy 2015, algorithm 2):

    running = (1 - m) before + m batch    =>    batch = (running - (1 - m) before) / m

With m = 0.1 the rounding of float32 grows tenfold, to about 1e-6 of the running value. The variance is the unbiased
one, as torch averages it. Where several processes train together, these are the moments of the joint batch.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from models.errors import InvalidInput
from models.manifest import LayerHistory, TrainingHistory
from training.processes import BatchNorm

PERCENTILES = (15, 50, 85)
"""Of the channels, as in figure 1 of Ioffe & Szegedy 2015."""

MAX_POINTS = 64
"""Steps that are kept for the bundle."""

_BY_CHANNEL = ("batch_mean", "batch_var", "running_mean", "running_var", "gamma", "beta")
_NAMES = (*(f"{name}/p{percentile}" for name in _BY_CHANNEL for percentile in PERCENTILES), "gradient_norm")
_STEPS = "steps"
_DIGITS = 4
"""Of a number in the bundle: it is there to be drawn."""

Write = Callable[[int, Mapping[str, Sequence[float]]], object]
"""Gets a step, and for each layer the numbers that `_NAMES` names."""


class LayerWatch:
    """Reads the normalisation layers of a network after every step.

    Args:
        network: its batch-normalisation layers have running statistics, gamma and beta.
        num_steps: of the whole training.
        write: is given the statistics of every step.
    """

    names = _NAMES
    """Of the numbers of a layer."""

    def __init__(self, network: nn.Module, num_steps: int, write: Write) -> None:
        self._layers = {name: _Layer(name, m) for name, m in network.named_modules() if isinstance(m, BatchNorm)}
        self._kept = kept_steps(num_steps)
        self._write = write
        self._step = 0
        self._history: dict[int, dict[str, Tensor]] = {}

    def resume(self, step: int, history: Mapping[str, Tensor]) -> None:
        """Go on after so many steps.

        Args:
            step: steps that have been taken.
            history: of these, as `tensors` returned it; empty if they were not watched.
        """
        self._step = step
        for row, number in enumerate(history[_STEPS].tolist() if history else ()):
            self._history[number] = {name: history[name][row] for name in self._layers}
        for layer in self._layers.values():
            layer.remember()

    def record(self) -> None:
        """Read all layers. Called once after each step, before gradients are cleared.

        Raises:
            InvalidInput: a layer was not used exactly once in this step.
        """
        self._step += 1
        found = {name: layer.read() for name, layer in self._layers.items()}
        self._write(self._step, {name: values.tolist() for name, values in found.items()})
        if self._step in self._kept:
            self._history[self._step] = found

    def tensors(self) -> dict[str, Tensor]:
        """What is kept for the bundle, for a checkpoint.

        Returns:
            "steps", shape (P,), int64; and by layer shape (P, 19), float32. Empty before the first step.
        """
        if not self._history:
            return {}
        layers = {name: torch.stack([found[name] for found in self._history.values()]) for name in self._layers}
        return {_STEPS: torch.tensor(list(self._history)), **layers}


class Unwatched:
    """In place of a watch where the layers are not watched."""

    def record(self) -> None:
        """Nothing."""

    def tensors(self) -> dict[str, Tensor]:
        """Nothing."""
        return {}


class _Layer:
    """One layer, and its running statistics after the step before."""

    def __init__(self, name: str, module: BatchNorm) -> None:
        self._name = name
        self._module = module
        places = torch.tensor(PERCENTILES) / 100 * (module.num_features - 1)
        self._below, self._above = places.floor().long(), places.ceil().long()
        self._fraction = places - self._below
        self.remember()

    def remember(self) -> None:
        self._before, self._count = self._running(), self._calls()

    @torch.no_grad()
    def read(self) -> Tensor:
        """The numbers that `_NAMES` names, float32."""
        module, before, calls = self._module, self._before, self._calls()
        if calls != self._count + 1:
            raise InvalidInput(
                f"layer '{self._name}' is used {calls - self._count} times in one step, must be once", "watch-layers"
            )
        self.remember()
        weight = 1 / calls if module.momentum is None else module.momentum
        batch = (self._before - (1 - weight) * before) / weight  # (2, C)
        batch[1].clamp_(min=0)  # a variance of 0, rounded
        channels = torch.cat([batch, self._before, module.weight[None], module.bias[None]])  # (6, C)
        ordered = channels.sort(dim=1).values  # three times as fast as torch.quantile
        of_channels = torch.lerp(ordered[:, self._below], ordered[:, self._above], self._fraction)  # (6, 3)
        gradients = [parameter.grad for parameter in (module.weight, module.bias) if parameter.grad is not None]
        norm = torch.cat([gradient.flatten() for gradient in gradients]).norm()
        return torch.cat([of_channels.flatten(), norm[None]])

    def _running(self) -> Tensor:
        assert self._module.running_mean is not None  # noqa: S101 - networks of this package keep them
        assert self._module.running_var is not None  # noqa: S101
        return torch.stack([self._module.running_mean, self._module.running_var])

    def _calls(self) -> int:
        assert self._module.num_batches_tracked is not None  # noqa: S101
        return int(self._module.num_batches_tracked)


def kept_steps(num_steps: int) -> frozenset[int]:
    """Steps that are kept: at most `MAX_POINTS`, the first and the last among them, at even ratios.

    Running statistics change most in the first steps.
    """
    return frozenset(np.geomspace(1, num_steps, MAX_POINTS).round().astype(int).tolist())


def describe(tensors: Mapping[str, Tensor]) -> TrainingHistory | None:
    """What `LayerWatch.tensors` returned, as the manifest has it. None if there is nothing."""
    if not tensors:
        return None
    return TrainingHistory(
        steps=tuple(tensors[_STEPS].tolist()),
        percentiles=PERCENTILES,
        layers={name: _layer(values) for name, values in tensors.items() if name != _STEPS},
    )


def _layer(values: Tensor) -> LayerHistory:
    columns = [[float(f"{value:.{_DIGITS}g}") for value in column] for column in values.T.tolist()]
    *channels, gradient_norm = columns
    points = [tuple(zip(*channels[i : i + 3], strict=True)) for i in range(0, len(channels), 3)]
    return LayerHistory(**dict(zip(_BY_CHANNEL, points, strict=True)), gradient_norm=tuple(gradient_norm))

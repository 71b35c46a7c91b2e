"""The batch-normalisation layers of a torch network, whatever class they are of.

A layer is known by what it keeps: a running mean and variance per channel. These are torch's own layers, SyncBatchNorm,
frozen layers (torchvision, detectron2), and layers with a dropout or an activation inside (timm's BatchNormAct2d).
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from models.errors import MissingStatistics, TrainingModeGraph

OWN_CLASSES = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
"""What the exporter writes as BatchNormalization, if it is exactly of this class."""

_TOLERANCE = 1e-4
"""Relative to the layer's largest output: rounding in float32, far below a wrong epsilon or a missing activation."""


def find_layers(network: nn.Module) -> dict[str, nn.Module]:
    """The layers by name, in the order of the network's modules.

    Raises:
        MissingStatistics: a layer of torch's own classes keeps no running statistics.
    """
    layers = {}
    for name, module in network.named_modules():
        mean, var = getattr(module, "running_mean", None), getattr(module, "running_var", None)
        if isinstance(mean, Tensor) and isinstance(var, Tensor):
            layers[name] = module
        elif isinstance(module, OWN_CLASSES):
            raise MissingStatistics(f"layer '{name}' keeps no running statistics (track_running_stats=False)")
    return layers


def validate_evaluation_mode(network: nn.Module) -> None:
    """Raise unless every module is in evaluation mode.

    Raises:
        TrainingModeGraph: one is in training mode.
    """
    if any(module.training for module in network.modules()):
        raise TrainingModeGraph("the network is in training mode: call network.eval() before exporting it")


@dataclass(frozen=True)
class Used:
    """Use of the layers in one forward pass.

    Attributes:
        calls: how often layers were used.
        unlike: names of the layers that compute something else than torch's function.
    """

    calls: int
    unlike: tuple[str, ...]


def make_explicit(network: nn.Module, run: Callable[[nn.Module], Any]) -> Used:
    """Replace layers of other classes than torch's own by ones that the exporter writes as BatchNormalization.

    A layer is replaced only where the replacement computes the same from the layer's inputs in one forward pass.

    Args:
        network: in evaluation mode. Its modules are replaced.
        run: one forward pass of the network.
    """
    layers = find_layers(network)
    with _recorded_calls(layers) as calls:
        run(network)
    unlike = []
    for name, layer in layers.items():
        if type(layer) in OWN_CLASSES:
            continue
        explicit = ExplicitBatchNorm(layer)
        if all(_is_close(explicit, *call) for call in calls[name]):
            parent, _, attribute = name.rpartition(".")
            setattr(network.get_submodule(parent), attribute, explicit)
        else:
            unlike.append(name)
    return Used(sum(map(len, calls.values())), tuple(unlike))


class ExplicitBatchNorm(nn.Module):
    """A layer as torch's own function, followed by the modules inside it, such as an activation.

    Parameters, statistics and inner modules are the given layer's own, and have its names.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.weight: Tensor | None
        self.bias: Tensor | None
        self.running_mean: Tensor
        self.running_var: Tensor
        for name in ("weight", "bias", "running_mean", "running_var"):
            value = getattr(layer, name, None)
            if isinstance(value, nn.Parameter) or value is None:
                self.register_parameter(name, value)
            else:
                self.register_buffer(name, value)
        self.eps = float(getattr(layer, "eps", 1e-5))
        self.momentum = float(getattr(layer, "momentum", None) or 0.1)
        self._inner = [name for name, _ in layer.named_children()]
        for name, module in layer.named_children():
            self.add_module(name, module)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Normalise by the running statistics; shape (N, C, ...) in and out."""
        y = nn.functional.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            training=False,
            momentum=self.momentum,
            eps=self.eps,
        )
        for name in self._inner:
            y = self.get_submodule(name)(y)
        return y


@contextmanager
def _recorded_calls(layers: dict[str, nn.Module]) -> Iterator[dict[str, list[tuple[Tensor, Tensor]]]]:
    """Input and output of each layer, for each call."""
    calls: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in layers}
    with ExitStack() as hooks:
        for name, layer in layers.items():

            def record(
                layer: nn.Module, args: tuple[Tensor, ...], keywords: dict[str, Tensor], y: Tensor, name: str = name
            ) -> None:
                x = (*args, *keywords.values())[0]
                # Copied, since activations in place change them, and only where they are needed.
                own = type(layer) in OWN_CLASSES
                calls[name].append((x, y) if own else (x.detach().clone(), y.detach().clone()))

            hooks.callback(layer.register_forward_hook(record, with_kwargs=True).remove)
        yield calls


@torch.no_grad()
def _is_close(explicit: nn.Module, x: Tensor, expected: Tensor) -> bool:
    try:
        actual = explicit(x.clone())
    except (RuntimeError, TypeError):  # the layer takes or holds something else
        return False
    bound = _TOLERANCE * float(expected.abs().max())
    return actual.shape == expected.shape and bool((actual - expected).abs().max() <= bound)

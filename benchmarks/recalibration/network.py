"""A starter model, re-calibrated by Denge and by torch."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import nn

from models import starter
from models.graph.load import parse
from models.recalibration.candidate import Candidate
from models.recalibration.estimate import recalibrate
from models.repository.bundle import Bundle
from models.runtime.load import load
from training.networks.convnet import ConvNet
from training.networks.mlp import MLP

Rows = NDArray[np.float32]
Labels = NDArray[np.int64]
Accuracy = Callable[[Rows, Labels], float]
"""In percent, on images and their labels."""


class Model:
    """A starter model, its parent bundle and the same network in torch."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.bundle = starter.read(name)
        (spec,) = self.bundle.manifest.inputs
        self.shape = (-1, *spec.shape[1:])
        self.right_before = self.classifier(self.bundle)

    def classifier(self, bundle: Bundle) -> Accuracy:
        run = load(bundle.folded, optimize=True)

        def accuracy(images: Rows, labels: Labels) -> float:
            answers = run({"input": images.reshape(self.shape)})["logits"].argmax(axis=1)
            return 100 * float(np.mean(answers == labels))

        return accuracy

    def recalibrated(self, images: Rows, prior: float | None = None) -> Candidate:
        return recalibrate(self.bundle, 1, {"input": images.reshape(self.shape)}, prior=prior)

    def by_torch(self, images: Rows) -> Accuracy:
        """AdaBN: each layer in turn takes the statistics of its input, those before it having done so."""
        network = ConvNet((1, 28, 28), 10) if self.name == "convnet" else MLP(784, 10)
        weights = {
            tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy())
            for tensor in parse(self.bundle.source).graph.initializer
        }
        network.load_state_dict({name: weights.get(name, value) for name, value in network.state_dict().items()})
        network.eval()
        rows = torch.from_numpy(images.reshape(self.shape))
        with torch.no_grad():
            for layer in [
                module for module in network.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)
            ]:
                seen: list[torch.Tensor] = []
                hook = layer.register_forward_pre_hook(lambda _, args, seen=seen: seen.append(args[0]))
                network(rows)
                hook.remove()
                values = seen[0].transpose(0, 1).flatten(1).double()
                assert layer.running_mean is not None
                assert layer.running_var is not None
                layer.running_mean.copy_(values.mean(1))
                layer.running_var.copy_(values.var(1, correction=0))

        @torch.no_grad()
        def accuracy(images: Rows, labels: Labels) -> float:
            answers = network(torch.from_numpy(images.reshape(self.shape))).argmax(1).numpy()
            return 100 * float(np.mean(answers == labels))

        return accuracy

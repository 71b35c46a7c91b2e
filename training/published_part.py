"""What of a trained network is published: a classifier as it is, of a generative network its generator."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from models.model_info import ModelInfo
from training import latents, loop, report
from training.data.dataset import Dataset, ImageDataset
from training.networks.dcgan import DCGAN
from training.run import Rows

_LATENTS_SEED = 0
"""Of the rows that a generator's statistics are of. Its test rows have the next one."""


class PublishedPart(Protocol):
    """The network of a bundle, and the rows that describe it.

    Attributes:
        network: what is exported.
        input_name, output_name: of its graph.
        test_rows: shape (N, ...): they set the thresholds of drift alarms.
    """

    network: nn.Module
    input_name: str
    output_name: str
    test_rows: Tensor

    def training_rows(self) -> Tensor:
        """The rows of population statistics, shape (N, ...)."""

    def info(self, name: str) -> ModelInfo:
        """What the manifest says of the model with this name."""

    def metrics(self) -> dict[str, float]:
        """Figures on the test rows, by name."""

    def describe_test(self) -> str:
        """The figures on the test rows, as text for the terminal."""


class _Classifier:
    input_name = "input"
    output_name = "logits"

    def __init__(self, network: nn.Module, data: Dataset, rows: Rows) -> None:
        self.network = network
        self.test_rows = rows.test
        self._data = data
        self._rows = rows

    def training_rows(self) -> Tensor:
        return self._rows.train

    def info(self, name: str) -> ModelInfo:
        return self._data.info(name)

    def metrics(self) -> dict[str, float]:
        return {"test_accuracy": loop.accuracy(self._confusions())}

    def describe_test(self) -> str:
        counts = self._confusions()
        accuracy = f"test accuracy {loop.accuracy(counts):.2%} of {len(self.test_rows)} rows"
        return f"\n{accuracy}\n\n{report.confusion(counts, self._data.class_names)}"

    def _confusions(self) -> NDArray[np.int64]:
        return loop.evaluate(self.network, self._rows.test, self._rows.test_labels)


class _Generator:
    """Its rows are latents, as many as there are images. Images that are generated have no true class to test."""

    input_name = latents.INPUT
    output_name = latents.OUTPUT

    def __init__(self, network: nn.Module, data: ImageDataset, rows: Rows) -> None:
        self.network = network
        self.test_rows = latents.draw(data, len(rows.test), _LATENTS_SEED + 1)
        self._data = data
        self._num_training_rows = len(rows.train)

    def training_rows(self) -> Tensor:
        return latents.draw(self._data, self._num_training_rows, _LATENTS_SEED)

    def info(self, name: str) -> ModelInfo:
        return ModelInfo(name, generation=latents.generation(self._data))

    def metrics(self) -> dict[str, float]:
        return {}

    def describe_test(self) -> str:
        return ""


def of(network: nn.Module, data: Dataset, rows: Rows) -> PublishedPart:
    """The part of a network that is published.

    Args:
        network: trained.
        data: what it was trained on.
        rows: of this data.
    """
    if isinstance(network, DCGAN) and isinstance(data, ImageDataset):
        return _Generator(network.generator, data, rows)
    return _Classifier(network, data, rows)

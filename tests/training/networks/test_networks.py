"""The architectures."""

from typing import get_args

import pytest
import torch
from torch import nn

from training.config import Config, ModelKind
from training.data.dataset import Dataset
from training.networks.build import build, row_shape


@pytest.mark.parametrize(
    ("model", "depth", "width", "norm_layers"),
    [
        ("mlp", 0, 0, 1),
        ("mlp", 3, 20, 3),
        ("convnet", 0, 0, 3),
        ("convnet", 4, 4, 4),
        ("resnet", 0, 0, 9),  # 7 of its 8 weighted layers, and 2 projections
        ("resnet", 20, 4, 21),
    ],
)
def test_a_network_has_the_layers_it_was_asked_for(
    model: ModelKind, depth: int, width: int, norm_layers: int, digit_images: Dataset
) -> None:
    config = Config(model, "digits", depth=depth, width=width)
    network = build(config, digit_images)

    logits = network(torch.zeros(2, *row_shape(config, digit_images)))

    assert logits.shape == (2, 10)
    assert sum(isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) for module in network.modules()) == norm_layers


@pytest.mark.parametrize("model", get_args(ModelKind))
def test_every_network_of_the_settings_classifies_and_has_norm_layers(model: ModelKind, digit_images: Dataset) -> None:
    config = Config(model, "digits")
    network = build(config, digit_images)

    assert network(torch.zeros(2, *row_shape(config, digit_images))).shape == (2, 10)
    assert any(isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) for module in network.modules())


def test_the_mlp_takes_pixels_in_one_line_and_the_convnet_an_image(digit_images: Dataset) -> None:
    assert row_shape(Config("mlp", "digits"), digit_images) == (784,)
    assert row_shape(Config("convnet", "digits"), digit_images) == (1, 28, 28)


def test_the_convnet_has_fewer_than_100_thousand_parameters(digit_images: Dataset) -> None:
    assert sum(tensor.numel() for tensor in build(Config("convnet", "digits"), digit_images).parameters()) == 29_178

"""The architectures."""

from typing import get_args

import pytest
import torch
from torch import nn

from training.config import Config, ModelKind
from training.data import texts
from training.data.dataset import ImageDataset
from training.networks.build import build, row_shape
from training.networks.dcgan import DCGAN, NOISE
from training.networks.textcnn import TextCNN


@pytest.mark.parametrize(
    ("model", "depth", "width", "norm_layers"),
    [
        ("mlp", 0, 0, 1),
        ("mlp", 3, 20, 3),
        ("convnet", 0, 0, 3),
        ("convnet", 4, 4, 4),
        ("resnet", 0, 0, 9),  # 7 of its 8 weighted layers, and 2 projections
        ("resnet", 20, 4, 21),
        ("resnet", 18, 4, 20),  # 17, and 3 projections
        ("resnet", 34, 4, 36),
    ],
)
def test_a_network_has_the_layers_it_was_asked_for(
    model: ModelKind, depth: int, width: int, norm_layers: int, digit_images: ImageDataset
) -> None:
    config = Config(model, "digits", depth=depth, width=width)
    network = build(config, digit_images)

    logits = network(torch.zeros(2, *row_shape(config, digit_images)))

    assert logits.shape == (2, 10)
    assert sum(isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) for module in network.modules()) == norm_layers


@pytest.mark.parametrize("model", sorted(set(get_args(ModelKind)) - {"dcgan"}))
def test_every_network_of_the_settings_classifies_and_has_norm_layers(
    model: ModelKind, digit_images: ImageDataset
) -> None:
    is_text = model == "textcnn"
    data = texts.prepare(["the film"] * 100, list("0123456789") * 10, "data") if is_text else digit_images
    config = Config(model, "table" if is_text else "digits")
    network = build(config, data)
    rows = torch.zeros(2, *row_shape(config, data), dtype=torch.int64 if is_text else torch.float32)

    assert network(rows).shape == (2, 10)
    assert any(isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) for module in network.modules())


def test_the_mlp_takes_pixels_in_one_line_and_the_convnet_an_image(digit_images: ImageDataset) -> None:
    assert row_shape(Config("mlp", "digits"), digit_images) == (784,)
    assert row_shape(Config("convnet", "digits"), digit_images) == (1, 28, 28)


def test_the_convnet_has_fewer_than_100_thousand_parameters(digit_images: ImageDataset) -> None:
    assert sum(tensor.numel() for tensor in build(Config("convnet", "digits"), digit_images).parameters()) == 29_178


@pytest.mark.parametrize(("depth", "width", "norm_layers"), [(0, 0, 2), (1, 4, 1)])
def test_a_generator_makes_images_of_its_data_and_the_discriminator_has_a_logit_for_each(
    depth: int, width: int, norm_layers: int, digit_images: ImageDataset
) -> None:
    network = build(Config("dcgan", "digits", depth=depth, width=width), digit_images)
    assert isinstance(network, DCGAN)

    images = network(torch.randn(3, NOISE + 10))
    logits = network.discriminator(images, torch.eye(10)[:3])

    assert images.shape == (3, 1, 28, 28)
    assert images.abs().max() <= 1
    assert logits.shape == (3,)
    assert sum(isinstance(module, nn.BatchNorm2d) for module in network.generator.modules()) == norm_layers


def test_phrases_of_the_textcnn_count_wherever_they_stand() -> None:
    torch.manual_seed(0)
    network = TextCNN(10, 2).eval()
    rows = torch.full((3, 20), 9)
    rows[0, 5:8] = rows[1, 9:12] = torch.tensor([4, 5, 6])
    rows[2, 5:8] = torch.tensor([6, 5, 4])

    first, moved, reversed_ = network(rows)

    torch.testing.assert_close(first, moved)
    assert not torch.allclose(first, reversed_)

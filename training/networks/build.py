"""Networks by name, sized for a data set."""

from torch import nn

from training.config import Config
from training.data.dataset import Dataset
from training.networks.convnet import ConvNet
from training.networks.mlp import MLP
from training.networks.resnet import ResNet


def build(config: Config, data: Dataset) -> nn.Module:
    """The network of these settings, with initial weights drawn from torch's global generator."""
    channels, height, width = data.train_images.shape[1:]
    classes = len(data.class_names)
    match config.model:
        case "mlp":
            return MLP(channels * height * width, classes, config.depth, config.width)
        case "convnet":
            return ConvNet((channels, height, width), classes, config.depth, config.width)
        case "resnet":
            return ResNet(channels, classes, config.depth, config.width)


def row_shape(config: Config, data: Dataset) -> tuple[int, ...]:
    """The shape of one row of the network's input: an image, or for the MLP its pixels in one line."""
    shape = data.train_images.shape[1:]
    return (shape[0] * shape[1] * shape[2],) if config.model == "mlp" else shape

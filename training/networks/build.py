"""Networks by name, sized for a data set."""

from torch import nn

from models.errors import InvalidInput
from training.config import Config
from training.data.dataset import Dataset, ImageDataset, TextDataset
from training.networks.convnet import ConvNet
from training.networks.dcgan import DCGAN
from training.networks.mlp import MLP
from training.networks.resnet import ResNet
from training.networks.textcnn import TextCNN


def build(config: Config, data: Dataset) -> nn.Module:
    """The network of these settings, with initial weights drawn from torch's global generator."""
    classes = len(data.class_names)
    match data:
        case TextDataset():
            return TextCNN(len(data.tokenization.vocabulary), classes, config.depth, config.width)
        case ImageDataset():
            channels, height, width = data.train_images.shape[1:]
            return _image_network(config, (channels, height, width), classes)


def row_shape(config: Config, data: Dataset) -> tuple[int, ...]:
    """The shape of one row of the network's input: a text's tokens, an image, or for the MLP its pixels in one line."""
    if isinstance(data, TextDataset):
        return data.train_rows.shape[1:]
    shape = data.train_images.shape[1:]
    return (shape[0] * shape[1] * shape[2],) if config.model == "mlp" else shape


def _image_network(config: Config, shape: tuple[int, int, int], classes: int) -> nn.Module:
    channels, height, width = shape
    match config.model:
        case "mlp":
            return MLP(channels * height * width, classes, config.depth, config.width)
        case "convnet":
            return ConvNet(shape, classes, config.depth, config.width)
        case "resnet":
            return ResNet(channels, classes, config.depth, config.width)
        case "dcgan":
            return DCGAN(shape, classes, config.depth, config.width)
        case "textcnn":
            raise InvalidInput("textcnn takes texts, and the data set has images", "model")

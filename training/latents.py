"""The input of a generator in training: noise, and the class of the image."""

import torch
from torch import Tensor

from models.generation import LatentSampler
from models.manifest import Generation, ImagePreprocessing, TensorSpec
from training.data.dataset import ImageDataset
from training.networks.dcgan import NOISE

INPUT = "latents"
OUTPUT = "images"


def generation(data: ImageDataset) -> Generation:
    """How the input of a generator of these images is drawn, and its images are written, from -1 to 1."""
    size, half = data.preprocessing, (0.5,) * len(data.preprocessing.mean)
    image = ImagePreprocessing(mode=size.mode, height=size.height, width=size.width, scale=1 / 255, mean=half, std=half)
    return Generation(classes=data.class_names, image=image)


def draw(data: ImageDataset, count: int, seed: int) -> Tensor:
    """Rows of the input as the service draws them, of each class in turn: shape (count, NOISE + classes), float32."""
    spec = TensorSpec(name=INPUT, datatype="FP32", shape=(-1, NOISE + len(data.class_names)))
    return torch.from_numpy(LatentSampler(generation(data), spec).draw(seed, count))

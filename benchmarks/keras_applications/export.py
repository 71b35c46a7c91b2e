"""Save and export one of Keras' applications, with random weights and statistics: runs where Keras is, without Denge.

    KERAS_BACKEND=tensorflow python benchmarks/keras_applications/export.py MobileNetV2 exports

writes exports/MobileNetV2-tensorflow.keras, .onnx and .npz (rows, and what Keras computes of them).
"""

import sys
import warnings
from pathlib import Path

import keras
import numpy as np

SIDES = {"NASNetMobile": 96, "Xception": 96, "InceptionV3": 96, "InceptionResNetV2": 96}
SIDE = 64
ROWS = 4


def build(name: str) -> keras.Model:
    """The network with random weights, and statistics, scales and shifts that are no identity."""
    keras.utils.set_random_seed(0)
    side = SIDES.get(name, SIDE)
    model = getattr(keras.applications, name)(weights=None, input_shape=(side, side, 3), classes=10)
    random = np.random.default_rng(0)
    for layer in layers(model):
        mean, var = layer.moving_mean, layer.moving_variance
        mean.assign(random.normal(scale=0.1, size=mean.shape))
        var.assign(random.uniform(0.5, 2, var.shape))
        if layer.gamma is not None:
            layer.gamma.assign(random.uniform(0.5, 1.5, layer.gamma.shape))
        if layer.beta is not None:
            layer.beta.assign(random.normal(scale=0.1, size=layer.beta.shape))
    return model


def layers(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """Of an application, which has no nested models."""
    return [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]


def main(name: str, folder: Path) -> None:
    warnings.simplefilter("ignore")
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{name}-{keras.backend.backend()}"
    model = build(name)
    rows = np.random.default_rng(1).normal(size=(ROWS, *model.input_shape[1:])).astype(np.float32)
    scores = keras.ops.convert_to_numpy(model(rows, training=False))
    model.save(target.with_suffix(".keras"))
    model.export(str(target.with_suffix(".onnx")), format="onnx", verbose=False)
    np.savez(target.with_suffix(".npz"), rows=rows, scores=scores, layers=len(layers(model)))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

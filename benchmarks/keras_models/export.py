"""Save and export the models of `networks.py`: runs where Keras, TensorFlow and tf2onnx are, without Denge.

    KERAS_BACKEND=tensorflow python -m benchmarks.keras_models.export exports

For each, writes a .keras file, the export of Keras (.keras.onnx), its SavedModel by tf2onnx (.tf.onnx), and rows with
what Keras computes of them (.npz).
"""

import sys
import tempfile
import warnings
from pathlib import Path

import keras
import numpy as np
import tf2onnx.convert
import tf2onnx.optimizer

from benchmarks.keras_models.networks import NETWORKS, input_shapes

ROWS = 5


def norm_layers(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """Each once, those of nested models included."""
    found = {id(layer): layer for layer in model._flatten_layers()}  # noqa: SLF001 - nothing else has nested layers
    return [layer for layer in found.values() if isinstance(layer, keras.layers.BatchNormalization)]


def draw_parameters(model: keras.Model) -> None:
    """Random statistics, scales (the second one negative), shifts and biases."""
    random = np.random.default_rng(0)
    for layer in norm_layers(model):
        layer.moving_mean.assign(random.normal(scale=0.3, size=layer.moving_mean.shape))
        layer.moving_variance.assign(random.uniform(0.5, 2, layer.moving_variance.shape))
        if layer.gamma is not None:
            sign = np.where(np.arange(layer.gamma.shape[0]) == 1, -1, 1)
            layer.gamma.assign(random.uniform(0.5, 1.5, layer.gamma.shape) * sign)
        if layer.beta is not None:
            layer.beta.assign(random.normal(scale=0.2, size=layer.beta.shape))
    for variable in model.weights:
        if variable.path.endswith("bias"):
            variable.assign(variable + random.normal(scale=0.1, size=variable.shape))


def export(name: str, folder: Path) -> None:
    """Write the files of one model. An exporter that fails writes none."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    model = NETWORKS[name]()
    draw_parameters(model)
    target = folder / NETWORKS[name].__name__
    random = np.random.default_rng(1)
    rows = [random.normal(size=(ROWS, *shape)).astype(np.float32) for shape in input_shapes(model)]
    outputs = model(rows if len(rows) > 1 else rows[0], training=False)
    outputs = list(outputs.values()) if isinstance(outputs, dict) else [outputs]
    arrays = {f"in{at}": value for at, value in enumerate(rows)} | {f"out{at}": v for at, v in enumerate(outputs)}
    np.savez(target.with_suffix(".npz"), name=name, layers=len(norm_layers(model)), **arrays)
    model.save(target.with_suffix(".keras"))
    try:
        model.export(str(target.with_suffix(".keras.onnx")), format="onnx", verbose=False)
        with tempfile.TemporaryDirectory() as saved:
            model.export(saved, format="tf_saved_model", verbose=False)
            output = ("--output", str(target.with_suffix(".tf.onnx")))
            sys.argv = [
                "convert",
                "--saved-model",
                saved,
                *output,
                "--tag",
                "serve",
                "--signature_def",
                "serving_default",
            ]
            tf2onnx.convert.main()
    except Exception as error:  # noqa: BLE001 - what an exporter cannot do is a result
        print(name, type(error).__name__, str(error)[:200], flush=True)


def main(folder: Path, only: list[str]) -> None:
    warnings.simplefilter("ignore")
    folder.mkdir(parents=True, exist_ok=True)
    del tf2onnx.optimizer._optimizers["remove_back_to_back"]  # noqa: SLF001 - merges BN, and has no option
    for name, build in NETWORKS.items():
        if not only or build.__name__ in only:
            export(name, folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])

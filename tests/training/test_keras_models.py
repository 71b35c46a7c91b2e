"""Keras models, from the file that Keras saves to a bundle."""

import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from models.errors import InvalidInput
from models.importing import keras_file
from models.model_info import ModelInfo
from models.runtime.load import load
from training import keras_models
from training.imports import Import

layers = keras.layers

# Of Keras' torch backend and numpy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """Every kind of layer that BN is folded into, a nested model, and layers without scale or shift."""
    keras.utils.clear_session()  # it counts the names of layers
    keras.utils.set_random_seed(0)
    inner = keras.Sequential(
        [keras.Input((10, 10, 4)), layers.DepthwiseConv2D(3), layers.BatchNormalization(name="bn")], name="inner"
    )
    made = keras.Sequential(
        [
            keras.Input((12, 12, 3), name="image"),
            layers.Conv2D(4, 3, use_bias=False),
            layers.BatchNormalization(momentum=0.9, epsilon=1e-2),
            layers.ReLU(),
            inner,
            layers.MaxPooling2D(),
            layers.BatchNormalization(scale=False, name="unscaled"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(6),
            layers.BatchNormalization(center=False, name="uncentred"),
            layers.ReLU(),
            layers.Dense(3),
        ]
    )
    random = np.random.default_rng(0)
    for variable in made.variables:
        positive = "var" in variable.name or "gamma" in variable.name
        variable.assign(random.uniform(0.5, 2, variable.shape) if positive else random.normal(size=variable.shape))
    return made


@pytest.fixture(scope="module")
def file(model: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keras") / "model.keras"
    model.save(path)
    return path


def test_layers_are_read_with_their_own_epsilon_and_momentum(file: Path, model: keras.Model) -> None:
    found = {layer.name: layer for layer in keras_file.read(file).layers}

    assert list(found) == ["batch_normalization", "inner.bn", "unscaled", "uncentred"]
    first, theirs = found["batch_normalization"], model.layers[1]
    assert (first.eps, first.momentum) == (1e-2, 0.9)
    assert (found["unscaled"].eps, found["unscaled"].momentum) == (1e-3, 0.99)
    for name, variable in {
        "gamma": theirs.gamma,
        "beta": theirs.beta,
        "mean": theirs.moving_mean,
        "var": theirs.moving_variance,
    }.items():
        np.testing.assert_array_equal(getattr(first, name), keras.ops.convert_to_numpy(variable))
    assert found["unscaled"].gamma.tolist() == [1] * 4
    assert found["uncentred"].beta.tolist() == [0] * 6


def test_a_saved_model_becomes_a_bundle_that_computes_what_keras_does(file: Path, model: keras.Model) -> None:
    bundle = Import(str(file), ModelInfo("theirs")).make_bundle()

    placements = {layer.name: layer.placement.kind for layer in bundle.manifest.norm_layers}
    assert placements.keys() == {"batch_normalization", "inner.bn", "unscaled", "uncentred"}
    assert "kept" not in placements.values()
    rows = np.random.default_rng(1).normal(size=(5, 12, 12, 3)).astype(np.float32)
    expected = keras.ops.convert_to_numpy(model(rows, training=False))
    (actual,) = load(bundle.folded, optimize=True)({bundle.manifest.inputs[0].name: rows}).values()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-5 * np.abs(expected).max())


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(b"no zip")
    with pytest.raises(InvalidInput, match=r"cannot be read as a \.keras file"):
        keras_file.read(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(InvalidInput, match=r"cannot be read as a \.keras file"):
        keras_file.read(path)
    with pytest.raises(InvalidInput, match="cannot be loaded by Keras"):
        keras_models.export(path)


def test_a_model_without_layers_is_refused(tmp_path: Path) -> None:
    keras.Sequential([keras.Input((2,)), layers.Dense(1)]).save(tmp_path / "plain.keras")

    with pytest.raises(InvalidInput, match="has no BatchNormalization layer"):
        keras_file.read(tmp_path / "plain.keras")


def test_a_layer_in_a_wrapper_is_read(tmp_path: Path) -> None:
    inner = layers.BatchNormalization(epsilon=1e-2, name="bn")
    keras.Sequential([keras.Input((4, 5)), layers.TimeDistributed(inner, name="steps")]).save(tmp_path / "steps.keras")
    (found,) = keras_file.read(tmp_path / "steps.keras").layers

    assert (found.name, found.eps, found.gamma.shape) == ("steps.bn", 1e-2, (5,))


class Own(keras.Model):
    """A class that does not describe its layers in the file."""

    def __init__(self, *, scale: bool = True) -> None:
        super().__init__()
        self.conv = layers.Conv2D(4, 3)
        self.block = keras.Sequential([layers.BatchNormalization(epsilon=1e-2, momentum=0.99, scale=scale)])
        self.dense = layers.Dense(2, name="head")

    def call(self, rows: keras.KerasTensor) -> keras.KerasTensor:
        return self.dense(keras.ops.mean(keras.ops.relu(self.block(self.conv(rows))), (1, 2)))


@pytest.mark.filterwarnings("ignore")  # of torch's older exporter, which Keras calls
def test_the_layers_of_a_class_of_the_users_own_are_found_by_their_variables(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    model, rows = Own(), np.random.default_rng(1).normal(size=(3, 8, 8, 3)).astype(np.float32)
    model(rows)
    random = np.random.default_rng(0)
    for variable in model.variables:
        variable.assign(random.uniform(0.5, 2, variable.shape))
    model.save(tmp_path / "own.keras")
    model.export(tmp_path / "own.onnx", format="onnx", verbose=False)
    bundle = Import(str(tmp_path / "own.onnx"), ModelInfo("own"), state_dict=tmp_path / "own.keras").make_bundle()

    (layer,) = bundle.manifest.norm_layers
    assert (layer.eps, layer.momentum, layer.placement.kind) == (pytest.approx(1e-2), 0.99, "folded_back")
    (actual,) = load(bundle.folded, optimize=True)({bundle.manifest.inputs[0].name: rows}).values()
    expected = keras.ops.convert_to_numpy(model(rows, training=False))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-5 * np.abs(expected).max())


def test_a_layer_of_which_three_variables_are_known_is_refused(tmp_path: Path) -> None:
    """Its scale and its shift cannot be told from each other."""
    model = Own(scale=False)
    model(np.zeros((1, 8, 8, 3), np.float32))
    model.save(tmp_path / "own.keras")

    with pytest.raises(InvalidInput, match="has a scale or a shift, not both"):
        keras_file.read(tmp_path / "own.keras")

"""What `import` takes besides an ONNX file."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save_file
from torch import nn

from models.errors import InvalidInput
from models.graph.load import serialize
from models.model_info import ModelInfo
from tests.graphs import linear_norm
from training.imports import Import, parse_shape
from training.user_networks import build

NETWORK = "tests.training.test_imports:network"
INFO = ModelInfo("theirs")


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))


def test_a_function_and_its_weights_become_a_bundle(tmp_path: Path) -> None:
    trained, _ = build(NETWORK)
    nn.init.normal_(trained[1].running_mean)
    save_file(trained.state_dict(), tmp_path / "weights.safetensors")
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32))

    bundle = Import(
        NETWORK, INFO, reference=tmp_path / "rows.npy", weights=tmp_path / "weights.safetensors"
    ).make_bundle()

    (layer,) = bundle.manifest.norm_layers
    np.testing.assert_array_equal(np.float32(layer.running_mean), trained[1].running_mean)
    assert bundle.manifest.drift is not None


def test_a_function_without_inputs_needs_a_shape() -> None:
    with pytest.raises(InvalidInput, match="--input-shape"):
        Import(NETWORK, INFO).make_bundle()


def test_a_file_takes_nothing_that_is_for_functions(tmp_path: Path) -> None:
    (tmp_path / "network.onnx").write_bytes(serialize(linear_norm()))

    with pytest.raises(InvalidInput, match="input-shape: only a network"):
        Import(str(tmp_path / "network.onnx"), INFO, input_shape=(3,)).make_bundle()


def test_only_an_onnx_file_takes_a_state_dict(tmp_path: Path) -> None:
    (tmp_path / "model.keras").touch()

    for source in (NETWORK, str(tmp_path / "model.keras")):
        with pytest.raises(InvalidInput, match="state-dict: only an ONNX file"):
            Import(source, INFO, state_dict=tmp_path / "net.safetensors").make_bundle()


def test_shapes_are_sizes_with_commas() -> None:
    assert parse_shape("3, 224,224") == (3, 224, 224)
    assert parse_shape("") == ()
    for text in ("3x4", "3,,4", "0", "-1"):
        with pytest.raises(InvalidInput, match="no shape of a row"):
            parse_shape(text)

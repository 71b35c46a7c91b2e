"""State dicts in .safetensors files."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from models.errors import InvalidInput
from models.importing.state_dict import read

TENSORS = {
    "conv.weight": np.ones((4, 3, 3, 3), np.float32),
    "conv.bias": np.ones(4, np.float32),
    "bn.weight": np.full(4, 2, np.float32),
    "bn.bias": np.full(4, 3, np.float32),
    "bn.running_mean": np.full(4, 4, np.float32),
    "bn.running_var": np.full(4, 5, np.float32),
    "bn.num_batches_tracked": np.array(7),
    "plain.running_mean": np.zeros(2, np.float32),
    "plain.running_var": np.ones(2, np.float32),
}


@pytest.mark.parametrize("prefix", ["", "module."])
def test_layers_and_weights_are_read(tmp_path: Path, prefix: str) -> None:
    save_file({prefix + name: values for name, values in TENSORS.items()}, tmp_path / "net.safetensors")

    found = read(tmp_path / "net.safetensors")

    layers = {layer.name: layer for layer in found.layers}
    assert layers.keys() == {"bn", "plain"}
    bn = layers["bn"]
    assert [float(values[0]) for values in (bn.gamma, bn.beta, bn.mean, bn.var)] == [2, 3, 4, 5]
    assert (bn.eps, bn.momentum) == (None, 0.9)
    assert (layers["plain"].gamma.tolist(), layers["plain"].beta.tolist()) == ([1, 1], [0, 0])
    (weight,) = found.weights
    assert (weight.name, weight.value.shape, weight.bias.shape) == ("conv.weight", (4, 3, 3, 3), (4,))


def test_a_file_without_a_layer_is_refused(tmp_path: Path) -> None:
    save_file({"weight": np.zeros(2)}, tmp_path / "net.safetensors")

    with pytest.raises(InvalidInput, match=r"state-dict: .* has no layer with running_mean"):
        read(tmp_path / "net.safetensors")


@pytest.mark.parametrize("data", [b"", b"\x80\x04pickle", None])
def test_other_files_are_refused_with_what_to_write(tmp_path: Path, data: bytes | None) -> None:
    if data is not None:
        (tmp_path / "net.pt").write_bytes(data)

    with pytest.raises(InvalidInput, match=r"pickle, and never read: .*safetensors.torch.save_file"):
        read(tmp_path / "net.pt")

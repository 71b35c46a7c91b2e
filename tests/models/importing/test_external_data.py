"""Weights in other files are taken in, and no file that a model names is read outside of its folder."""

from mmap import mmap
from pathlib import Path

import numpy as np
import onnx
import pytest

from models.errors import ExternalData, GraphError
from models.graph.load import decode, serialize
from models.importing.external_data import copy_external_data
from models.importing.onnx import import_graph, read
from models.model_info import ModelInfo
from models.repository.bundle import SOURCE_WEIGHTS
from models.repository.repository import Repository
from models.runtime.load import load
from tests.graphs import linear_norm, wide_norms

X = {"x": np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)}


def saved(folder: Path, location: str = "weights") -> Path:
    path = folder / "network.onnx"
    onnx.save(linear_norm(), path, save_as_external_data=True, size_threshold=0, location=location)
    return path


def pointed_to(path: Path, location: str, **entries: str) -> onnx.ModelProto:
    model = decode(path.read_bytes())
    for entry in model.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = location
        if entry.key in entries:
            entry.value = entries[entry.key]
    return model


def test_weights_in_another_file_are_taken_into_the_bundle(tmp_path: Path) -> None:
    path = saved(tmp_path)

    model, weights = read(path)
    (tmp_path / "weights").write_bytes(b"other weights")
    bundle = import_graph(model, ModelInfo("theirs"), weights=weights)

    expected = load(serialize(linear_norm()), optimize=False)(X)["y"]
    np.testing.assert_allclose(load(bundle.folded, optimize=True)(X)["y"], expected, rtol=1e-5, atol=1e-6)
    assert serialize(model) != path.read_bytes()
    assert bundle.manifest.norm_layers


def test_weights_are_copied_to_disk_and_not_held_in_memory(tmp_path: Path) -> None:
    """What a network of more than 2 GiB needs: neither a file of one protobuf, nor room for its weights."""
    path, model = tmp_path / "network.onnx", wide_norms(width=1500, layers=1)
    rows = {"x": np.random.default_rng(1).normal(size=(3, 1500)).astype(np.float32)}
    expected = load(serialize(model), optimize=False)(rows)["y"]
    onnx.save(model, path, save_as_external_data=True, location="weights")  # changes the model

    graph, weights = read(path)
    bundle = import_graph(graph, ModelInfo("theirs"), weights=weights)
    (tmp_path / "weights").write_bytes(b"other weights")
    version = Repository(tmp_path / "repository").publish(bundle)

    assert isinstance(weights[SOURCE_WEIGHTS], mmap)
    assert len(serialize(graph)) < 10_000
    found = Repository(tmp_path / "repository").read("theirs", version)
    np.testing.assert_allclose(load(found.folded, optimize=True)(rows)["y"], expected, rtol=1e-4, atol=1e-4)


def test_a_tensor_that_is_not_as_long_as_its_shape_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path)
    path.write_bytes(serialize(pointed_to(path, "weights", length="4")))

    with pytest.raises(GraphError, match="not a valid ONNX model"):
        read(path)


@pytest.mark.parametrize("location", ["../weights", "/etc/hostname", "a/../../weights", "", "..\\weights"])
def test_a_path_that_leaves_the_folder_is_refused(tmp_path: Path, location: str) -> None:
    (tmp_path / "inside").mkdir()
    path = saved(tmp_path / "inside")
    (tmp_path / "weights").write_bytes(bytes(1000))

    with pytest.raises(ExternalData, match="is not inside the folder"):
        copy_external_data(pointed_to(path, location), path.parent)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    path = saved(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "weights").write_bytes(bytes(1000))
    (tmp_path / "folder").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "file").symlink_to(tmp_path / "weights")

    with pytest.raises(ExternalData, match=r"'folder' in the path of its file .* is a link"):
        copy_external_data(pointed_to(path, "folder/weights"), tmp_path)
    with pytest.raises(ExternalData, match="'file' cannot be read"):
        copy_external_data(pointed_to(path, "file"), tmp_path)
    with pytest.raises(ExternalData, match="'elsewhere' cannot be read"):
        copy_external_data(pointed_to(path, "elsewhere"), tmp_path)


def test_a_file_with_another_name_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.hardlink_to(tmp_path / "weights")

    with pytest.raises(ExternalData, match="'weights' is a hard link"):
        copy_external_data(decode(path.read_bytes()), tmp_path)
    elsewhere.unlink()
    assert copy_external_data(decode(path.read_bytes()), tmp_path).keys() == {"weights"}


@pytest.mark.parametrize(
    ("entries", "message"),
    [({"length": "100000"}, "expected 100000 or more"), ({"offset": "-1"}, "expected"), ({"offset": "x"}, "no number")],
)
def test_a_part_that_the_file_does_not_have_is_refused(tmp_path: Path, entries: dict[str, str], message: str) -> None:
    model = pointed_to(saved(tmp_path), "weights", **entries)

    with pytest.raises(ExternalData, match=message):
        copy_external_data(model, tmp_path)


def test_more_than_a_bundle_can_hold_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path)

    copy_external_data(decode(path.read_bytes()), tmp_path, max_bytes=1 << 20)
    with pytest.raises(ExternalData, match=r"at most 8 are read|more than 8 bytes"):
        copy_external_data(decode(path.read_bytes()), tmp_path, max_bytes=8)

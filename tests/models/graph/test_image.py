"""The input as an image: moments of pixels, against numpy in float64, and what they tell of images that are changed."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from models.graph.editor import GraphEditor
from models.graph.image import MOMENTS, choose_image
from models.graph.observe import observe
from models.manifest import ImagePreprocessing, TensorSpec, WatchedLayer
from models.observation import mean_output
from tests.models.graph.oracle import Array

GREY = ImagePreprocessing(mode="grey", height=28, width=28, scale=1.0, mean=(0.0,), std=(1.0,))
RGB = ImagePreprocessing(mode="rgb", height=12, width=9, scale=1.0, mean=(0.0,) * 3, std=(1.0,) * 3)


def spec(*row: int, datatype: str = "FP32", name: str = "x") -> TensorSpec:
    return TensorSpec.model_validate({"name": name, "datatype": datatype, "shape": (-1, *row)})


def chosen(*row: int, preprocessing: ImagePreprocessing | None = None) -> WatchedLayer | None:
    return choose_image([spec(*row)], preprocessing)


def network(row: tuple[int, ...], element_type: int = onnx.TensorProto.FLOAT) -> onnx.ModelProto:
    x = helper.make_tensor_value_info("x", element_type, ["N", *row])
    y = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["N", *row])
    cast = helper.make_node("Cast", ["x"], ["y"], "Cast", to=onnx.TensorProto.FLOAT)
    graph = helper.make_graph([cast], "images", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def observed(images: Array, preprocessing: ImagePreprocessing | None = None) -> Array:
    layer = chosen(*images.shape[1:], preprocessing=preprocessing)
    assert layer is not None
    element_type = helper.np_dtype_to_tensor_dtype(images.dtype)
    graph = observe(network(images.shape[1:], element_type), [layer])
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    (found,) = session.run([mean_output(layer.name)], {"x": images})
    assert found.shape == (len(images), layer.num_features)
    return found


def expected(images: Array) -> Array:
    """In float64, of images of at most 55 pixels each way, shape (n, C, H, W)."""
    y = images.astype(np.float64)
    rows, colours, height, width = y.shape
    v, u = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    weights = (1 + 0 * u, u, v, u**2 - (u**2).mean(), v**2 - (v**2).mean(), u * v)
    upper = y[:, :, :-1].reshape(rows, colours, -1)
    squared = (upper, np.diff(upper), np.diff(y, axis=2).reshape(rows, colours, -1))
    moments = [(y * weight).mean(axis=(2, 3)) for weight in weights] + [(one**2).mean(axis=2) for one in squared]
    return np.stack(moments, axis=2).reshape(rows, -1)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 14, 21), (4, 31, 5), (2, 4, 55)])
def test_moments_are_those_of_numpy(shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).random((3, *shape), dtype=np.float32)

    found = observed(images)

    assert found.shape == (3, MOMENTS * shape[0])
    np.testing.assert_allclose(found, expected(images), atol=1e-6)
    assert np.abs(found - expected(images[:, :, ::-1])).max() > 1e-3


def test_a_large_image_is_read_by_cells_and_by_every_few_rows() -> None:
    images = np.random.default_rng(1).random((2, 3, 97, 130), dtype=np.float32)
    cells = images[:, :, :96, :128].reshape(2, 3, 32, 3, 32, 4).mean(axis=(3, 5))
    rows = np.arange(0, 96, 3)
    upper, lower = (images[:, :, rows + step].reshape(2, 3, -1).astype(np.float64) for step in (0, 1))

    found = observed(images).reshape(2, 3, MOMENTS)

    np.testing.assert_allclose(found[..., :6], expected(cells).reshape(2, 3, MOMENTS)[..., :6], atol=1e-6)
    squared = [(one**2).mean(axis=2) for one in (upper, np.diff(upper), lower - upper)]
    np.testing.assert_allclose(found[..., 6:], np.stack(squared, axis=2), atol=1e-6)
    assert not np.allclose(found[..., 6:], expected(images).reshape(2, 3, MOMENTS)[..., 6:], atol=1e-6)


def test_flat_rows_and_channels_last_are_the_same_images() -> None:
    images = np.random.default_rng(2).random((2, 3, 12, 9), dtype=np.float32)
    grey = np.random.default_rng(3).random((2, 28, 28), dtype=np.float32)

    np.testing.assert_allclose(observed(images.reshape(2, -1), RGB), expected(images), atol=1e-6)
    np.testing.assert_allclose(observed(np.ascontiguousarray(np.moveaxis(images, 1, 3))), expected(images), atol=1e-6)
    for rows in (grey, grey.reshape(2, -1), grey[:, None]):
        np.testing.assert_allclose(observed(rows, GREY), expected(grey[:, None]), atol=1e-6)


def test_bytes_are_read_as_numbers() -> None:
    images = np.random.default_rng(4).integers(0, 256, (2, 8, 8, 3), np.uint8)

    np.testing.assert_allclose(observed(images), expected(np.moveaxis(images, 3, 1)), rtol=1e-5, atol=1e-4)


def test_an_image_that_is_moved_or_sheared_has_other_moments_where_means_stay() -> None:
    image = np.zeros((1, 1, 28, 28), np.float32)
    image[:, :, 8:20, 12:16] = 1
    before = observed(image)[0]
    moved = observed(np.roll(image, 4, axis=3))[0]
    np.testing.assert_allclose(moved[[0, 2, 6, 7, 8]], before[[0, 2, 6, 7, 8]], atol=1e-6)
    assert moved[1] - before[1] > 5e-3
    sheared = image.copy()
    for row in range(28):
        sheared[:, :, row] = np.roll(image[:, :, row], (row - 14) // 3, axis=2)
    assert sheared.mean() == image.mean()
    assert observed(sheared)[0][5] - before[5] > 1e-3
    np.testing.assert_allclose(observed(np.ones_like(image))[0][[1, 2, 3, 4, 5, 7, 8]], 0, atol=1e-6)


@pytest.mark.parametrize(
    ("row", "preprocessing"),
    [
        ((784,), None),
        ((28, 28), None),
        ((783,), GREY),
        ((12, 9), RGB),
        ((64, 28, 28), None),
        ((3, 3, 28), None),
        ((3, -1, 28), None),
        ((3, 8, 8, 8), None),
    ],
    ids=["flat", "two axes", "another size", "one colour of three", "a layer's", "too small", "of any size", "video"],
)
def test_an_input_that_is_no_image_of_known_size_is_not_chosen(
    row: tuple[int, ...], preprocessing: ImagePreprocessing | None
) -> None:
    assert chosen(*row, preprocessing=preprocessing) is None


def test_the_first_input_that_is_an_image_is_chosen() -> None:
    layer = choose_image([spec(10, name="numbers"), spec(3, 8, 8, name="photo"), spec(1, 8, 8, name="mask")], None)

    assert layer is not None
    assert (layer.name, layer.kind, layer.placement.tensor) == ("photo.image", "image", "photo")
    assert GraphEditor(network((3, 8, 8))).shape("x") == ("N", 3, 8, 8)

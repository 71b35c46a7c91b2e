"""Where a layer's values are: moments over positions, against numpy in float64, and what they tell of moved images."""

import numpy as np
import onnx
import pytest
from onnx import parser

from models.graph.editor import GraphEditor
from models.graph.observe import observe
from models.graph.positions import MOMENTS, choose_positions
from models.manifest import Placement, WatchedLayer
from models.observation import mean_output
from tests.models.graph.oracle import Array, runtime


def convolution(height: int, width: int) -> onnx.ModelProto:
    model = parser.parse_model(f"""
        <ir_version: 10, opset_import: ["" : 18]>
        images (float[N, 1, {height}, {width}] x) => (float[N, 2, {height}, {width}] y)
        <float[2, 1, 1, 1] w = {{1.0, -2.0}}>
        {{ y = Conv(x, w) }}
    """)
    onnx.checker.check_model(model, full_check=True)
    return model


def watched(tensor: str = "y", axis: int = 1) -> WatchedLayer:
    placement = Placement(kind="kept", reason="none", tensor=tensor, axis=axis)
    return WatchedLayer(name="conv", kind="activation", num_features=2, placement=placement)


def observe_positions(model: onnx.ModelProto, images: Array) -> Array:
    layer = choose_positions(GraphEditor(model), [watched()])
    assert layer is not None
    assert layer.num_features == 2 * MOMENTS
    (found,) = runtime(observe(model, [layer]), {"x": images}, [mean_output(layer.name)]).values()
    return found


def expected(images: Array, cells: tuple[int, int]) -> Array:
    """In float64, from means of blocks of the two channels."""
    y = np.concatenate([images, -2 * images], axis=1).astype(np.float64)
    step = [size // count for size, count in zip(y.shape[2:], cells, strict=True)]
    blocks = y[:, :, : cells[0] * step[0], : cells[1] * step[1]]
    means = blocks.reshape(len(y), 2, cells[0], step[0], cells[1], step[1]).mean(axis=(3, 5))
    v, u = np.linspace(-1, 1, cells[0])[:, None], np.linspace(-1, 1, cells[1])
    moments = [(means * weight).mean(axis=(2, 3)) for weight in (u + 0 * v, v + 0 * u)]
    moments += [(means * (square - square.mean())).mean(axis=(2, 3)) for square in (u**2 + 0 * v, v**2 + 0 * u)]
    return np.stack(moments, axis=2).reshape(len(y), -1)


@pytest.mark.parametrize(
    ("size", "cells"), [((28, 28), (7, 7)), ((14, 21), (7, 7)), ((5, 9), (5, 9)), ((15, 30), (7, 7))]
)
def test_moments_are_those_of_numpy(size: tuple[int, int], cells: tuple[int, int]) -> None:
    images = np.random.default_rng(0).random((3, 1, *size), dtype=np.float32)

    found = observe_positions(convolution(*size), images)

    np.testing.assert_allclose(found, expected(images, cells), atol=1e-6)
    assert (
        np.abs(found - expected(images.swapaxes(2, 3) if size[0] == size[1] else images[:, :, ::-1], cells)).max()
        > 1e-3
    )


def test_an_image_of_one_value_has_none_and_one_that_is_moved_has_others_where_means_stay() -> None:
    model, image = convolution(28, 28), np.zeros((1, 1, 28, 28), np.float32)
    image[:, :, 10:18, 12:16] = 1
    moved = np.roll(image, 4, axis=3)

    np.testing.assert_allclose(observe_positions(model, np.ones_like(image)), 0, atol=1e-6)
    before, after = observe_positions(model, image)[0], observe_positions(model, moved)[0]
    assert moved.mean() == image.mean()
    assert after[0] - before[0] > 5e-3
    assert after[1] == pytest.approx(before[1], abs=1e-6)


@pytest.mark.parametrize(
    ("model", "layer"),
    [
        (convolution(3, 28), watched()),
        (convolution(28, 28), watched(axis=3)),
        (convolution(28, 28), watched("unknown")),
        (convolution(28, 28), watched().model_copy(update={"unwatched": "its rows depend on each other"})),
        (convolution(28, 28), watched().model_copy(update={"several_per_row": True})),
    ],
    ids=["few positions", "channels last", "unknown shape", "not observed", "several for each row"],
)
def test_a_layer_without_known_positions_is_not_chosen(model: onnx.ModelProto, layer: WatchedLayer) -> None:
    assert choose_positions(GraphEditor(model), [layer]) is None


def test_the_first_layer_that_has_positions_is_chosen() -> None:
    flat = watched("x").model_copy(update={"name": "flat", "unwatched": "no"})

    chosen = choose_positions(GraphEditor(convolution(28, 28)), [flat, watched()])

    assert chosen is not None
    assert (chosen.name, chosen.kind, chosen.placement.tensor) == ("conv.positions", "positions", "y")

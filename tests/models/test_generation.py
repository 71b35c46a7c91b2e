"""The input of generators, their images, and what a manifest says of them."""

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from models.generation import LatentSampler, sheet, square, to_pixels
from models.manifest import Generation, ImagePreprocessing, Manifest, TensorSpec
from models.preprocessing import prepare_pixels
from tests.bundles import generator_bundle

GREY = ImagePreprocessing(mode="grey", height=2, width=3, scale=1 / 255, mean=(0.5,), std=(0.5,))


def test_a_generator_without_classes_takes_noise_of_any_shape() -> None:
    spec = TensorSpec(name="z", datatype="FP32", shape=(-1, 4, 1, 1))

    rows = LatentSampler(Generation(image=GREY), spec).draw(3, 2)

    np.testing.assert_array_equal(rows, np.random.default_rng(3).standard_normal((2, 4, 1, 1), np.float32))


def test_pixels_are_what_preparation_began_with() -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(-1, 1, 2, 4)

    np.testing.assert_array_equal(to_pixels(prepare_pixels(pixels, GREY), GREY), pixels)
    assert to_pixels(np.array([np.nan, -9, 9, 0]).reshape(1, 1, 2, 2), GREY).ravel().tolist() == [0, 0, 255, 128]


def test_a_sheet_of_colours_keeps_them_and_fills_up_with_black() -> None:
    images = np.random.default_rng(0).integers(1, 255, (3, 3, 2, 4), np.uint8)

    grid = sheet(images, square(3))

    assert grid.shape == (4, 8, 3)
    np.testing.assert_array_equal(grid[2:, :4], images[2].transpose(1, 2, 0))
    assert not grid[2:, 4:].any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": [{"name": "latents", "datatype": "INT64", "shape": [-1, 5]}]}, "FP32 of shape"),
        ({"inputs": [{"name": "latents", "datatype": "FP32", "shape": [-1, -1]}]}, "FP32 of shape"),
        ({"inputs": [{"name": "latents", "datatype": "FP32", "shape": [-1, 2]}]}, "FP32 of shape"),
        ({"inputs": [{"name": "latents", "datatype": "FP32", "shape": [-1]}]}, "FP32 of shape"),
        ({"outputs": [{"name": "images", "datatype": "FP32", "shape": [-1, 4]}]}, "the shape of its images"),
    ],
)
def test_a_generator_of_other_tensors_is_refused(change: dict[str, Any], message: str) -> None:
    found = generator_bundle().manifest.model_dump()

    with pytest.raises(ValidationError, match=message):
        Manifest.model_validate(found | change)

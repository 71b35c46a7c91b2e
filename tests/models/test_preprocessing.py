"""Pixels -> rows."""

import numpy as np

from models.manifest import ImagePreprocessing
from models.preprocessing import prepare_pixels

RGB = ImagePreprocessing(
    mode="rgb", height=2, width=1, scale=1 / 255, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
)


def test_each_colour_channel_has_its_own_mean_and_spread() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 3, 2, 1), np.uint8)

    rows = prepare_pixels(pixels, RGB)

    for channel in range(3):
        expected = (pixels[:, channel] / 255 - RGB.mean[channel]) / RGB.std[channel]  # float64
        np.testing.assert_allclose(rows[:, channel], expected, rtol=1e-5, atol=1e-6)
    assert rows.dtype == np.float32
    assert rows.flags.c_contiguous


def test_one_image_is_prepared_like_many_and_stays_as_it_was() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (4, 3, 2, 1), np.uint8)
    before = pixels.copy()

    np.testing.assert_array_equal(prepare_pixels(pixels[2], RGB), prepare_pixels(pixels, RGB)[2])
    np.testing.assert_array_equal(pixels, before)


def test_float64_is_computed_exactly() -> None:
    pixels = np.arange(6, dtype=np.uint8).reshape(3, 2, 1)

    rows = prepare_pixels(pixels, RGB, np.float64)

    expected = [[(value * RGB.scale - RGB.mean[c]) / RGB.std[c] for value in pixels[c].ravel()] for c in range(3)]
    np.testing.assert_array_equal(rows.reshape(3, 2), expected)

"""The digits that come with scikit-learn."""

import numpy as np

from training.data.dataset import ImageDataset


def test_images_are_28_by_28_and_use_the_whole_range(digit_images: ImageDataset) -> None:
    assert digit_images.train_images.shape == (1433, 1, 28, 28)
    assert digit_images.test_images.shape == (364, 1, 28, 28)
    assert digit_images.train_images.dtype == np.uint8
    assert (digit_images.train_images.min(), digit_images.train_images.max()) == (0, 255)


def test_every_class_has_a_fifth_of_its_images_in_the_test_set(digit_images: ImageDataset) -> None:
    train, test = np.bincount(digit_images.train_labels), np.bincount(digit_images.test_labels)

    np.testing.assert_array_equal(test, -(-(train + test) // 5))


def test_prepared_pixels_lie_between_zero_and_one(digit_images: ImageDataset) -> None:
    rows = digit_images.prepare(digit_images.test_images)

    assert rows.dtype == np.float32
    assert (rows.min(), rows.max()) == (0.0, 1.0)

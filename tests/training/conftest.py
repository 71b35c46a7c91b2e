"""Small things to train on, in one thread, so that the suite is as fast on one core as on many."""

from collections.abc import Iterator

import pytest
import torch

from training.data import digits
from training.data.dataset import ImageDataset


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Before what modules and the session share is trained: other numbers of threads give other last bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def digit_images() -> ImageDataset:
    return digits.load()


@pytest.fixture(scope="session")
def few_digits(digit_images: ImageDataset) -> ImageDataset:
    """129 training rows, so that batches of 32 leave a last one of a single row, and 50 test rows."""
    return ImageDataset(
        digit_images.train_images[:129],
        digit_images.train_labels[:129],
        digit_images.test_images[:50],
        digit_images.test_labels[:50],
        digit_images.class_names,
        digit_images.preprocessing,
    )

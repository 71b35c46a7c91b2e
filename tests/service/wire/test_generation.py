"""Requests for generated images."""

import pytest

from models.errors import TooLarge
from service.wire.generation import decode


def test_all_images_together_have_a_bounded_number_of_pixels() -> None:
    assert decode(b'{"count": 2}', image_pixels=4, max_pixels=8).num_images == 2
    with pytest.raises(TooLarge, match="count: got 3 images, expected at most 2 in a request to this model"):
        decode(b'{"count": 3}', image_pixels=4, max_pixels=8)


def test_a_body_of_nothing_is_one_image_of_a_random_seed() -> None:
    seed, count, class_name = decode(b"", image_pixels=4, max_pixels=8)

    assert (count, class_name) == (1, None)
    assert decode(b"", image_pixels=4, max_pixels=8).seed != seed

"""What reading images takes is known before, from a part of the body."""

import base64
import json

import pytest

from models.errors import InvalidInput, TooLarge
from models.manifest import ImagePreprocessing, TensorSpec
from service.wire import image_reader
from service.wire.image_reader import ImageReader
from tests.image_files import encode, png_header, random_pixels

PREPROCESSING = ImagePreprocessing(mode="grey", height=8, width=8, scale=1.0, mean=(0.0,), std=(1.0,))
MAX_PIXELS = 1_000_000
ROW_BYTES = 8 * 8 * 4
MOST = MAX_PIXELS * 10
FILES = [png_header(100, 50), encode(random_pixels(300, 200, 3), "JPEG", progressive=True)]
LARGEST = 300 * 200 * 10


def reader(*shape: int) -> ImageReader:
    return ImageReader(TensorSpec(name="input", datatype="FP32", shape=shape), PREPROCESSING)


def memory_of(body: bytes, *, in_base64: bool = False) -> int:
    sizes = image_reader.find_base64(body) if in_base64 else image_reader.find_files(body)
    return reader(-1, 1, 8, 8).decoding_bytes(sizes, MAX_PIXELS)


def v1(*files: bytes) -> bytes:
    return json.dumps({"instances": [{"b64": base64.b64encode(file).decode()} for file in files]}).encode()


def test_one_image_at_a_time_and_all_rows_take_memory() -> None:
    assert memory_of(b"head" + b"....".join(FILES)) == LARGEST + 2 * ROW_BYTES
    assert memory_of(v1(*FILES), in_base64=True) == LARGEST + 2 * ROW_BYTES


def test_what_will_be_refused_takes_no_more_than_the_limit() -> None:
    assert memory_of(png_header(60_000, 60_000)) == MOST + ROW_BYTES
    assert memory_of(v1(png_header(60_000, 60_000)), in_base64=True) == MOST + ROW_BYTES


def test_without_an_image_there_is_something_to_read_all_the_same() -> None:
    assert memory_of(b"hello") == memory_of(b"{}", in_base64=True) == 1


@pytest.mark.parametrize("text", [b'{"b64": "?', b'{"b64": 1}', b'{"b64": "\\/9j\\/4AAQ"}', b'{"b64"'])
def test_base64_that_cannot_be_told_counts_as_the_limit(text: bytes) -> None:
    assert memory_of(text, in_base64=True) == MOST + ROW_BYTES


def test_of_many_images_and_long_bodies_not_all_is_read() -> None:
    assert memory_of(b"".join(FILES * 100)) == memory_of(v1(*FILES * 100), in_base64=True) == MOST + 4 * MAX_PIXELS
    assert memory_of(FILES[0] + bytes(1 << 23)) == MOST + 2 * ROW_BYTES


def test_an_input_without_a_batch_axis_takes_one_image() -> None:
    files = [("a", encode(random_pixels(8, 8)))] * 2

    assert reader(8, 8).read(1, files[:1], "inputs", max_pixels=100).shape == (8, 8)
    with pytest.raises(InvalidInput, match="inputs: got 2 images, input 'input' takes one"):
        reader(8, 8).read(2, files, "inputs", max_pixels=1000)


def test_only_so_many_rows_are_made() -> None:
    with pytest.raises(TooLarge, match="inputs: got 4 images, expected at most 3 in a request"):
        reader(-1, 1, 8, 8).read(4, [], "inputs", max_pixels=4 * 64 - 1)


def test_an_input_of_another_size_is_no_image() -> None:
    with pytest.raises(InvalidInput, match=r"body: input 'input' of shape \[-1, 7\] is not one image"):
        reader(-1, 7).read(1, [], "body", max_pixels=100)

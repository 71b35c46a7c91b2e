"""Images to rows, against numpy and Pillow's plain path."""

import io
import struct
import zlib
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from starlette.testclient import TestClient

from models.errors import InvalidInput, TooLarge
from models.manifest import ImagePreprocessing
from service.wire.images import decode

GREY = ImagePreprocessing(mode="grey", height=8, width=6, scale=1 / 255, mean=(0.1307,), std=(0.3081,))
RGB = ImagePreprocessing(
    mode="rgb", height=8, width=6, scale=1 / 255, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
)
GENERATOR = np.random.default_rng(0)
GREY_PIXELS = GENERATOR.integers(0, 256, (8, 6), dtype=np.uint8)
RGB_PIXELS = GENERATOR.integers(0, 256, (8, 6, 3), dtype=np.uint8)


def file(image: Image.Image | np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def read(data: bytes, preprocessing: ImagePreprocessing = GREY, max_pixels: int = 10_000) -> np.ndarray:
    return decode(data, preprocessing, max_pixels)


def plain(pixels: np.ndarray, preprocessing: ImagePreprocessing = GREY) -> np.ndarray:
    pixels = pixels.reshape(8, 6, -1).astype(np.float32) * np.float32(preprocessing.scale)
    normal = (pixels - np.array(preprocessing.mean, np.float32)) / np.array(preprocessing.std, np.float32)
    return normal.transpose(2, 0, 1)


def test_an_image_of_the_right_size_is_read_bit_for_bit() -> None:
    np.testing.assert_array_equal(read(file(GREY_PIXELS)), plain(GREY_PIXELS))
    np.testing.assert_array_equal(read(file(RGB_PIXELS), RGB), plain(RGB_PIXELS, RGB))
    assert read(file(RGB_PIXELS), RGB).dtype == np.float32
    with pytest.raises(AssertionError):
        np.testing.assert_array_equal(read(file(GREY_PIXELS[::-1])), plain(GREY_PIXELS))


def test_colour_and_grey_are_converted() -> None:
    as_grey = np.asarray(Image.fromarray(RGB_PIXELS).convert("L"))

    np.testing.assert_array_equal(read(file(RGB_PIXELS)), plain(as_grey))
    np.testing.assert_array_equal(read(file(GREY_PIXELS), RGB), plain(np.stack([GREY_PIXELS] * 3, 2), RGB))


def test_a_jpeg_is_read() -> None:
    image = np.full((8, 6), 128, np.uint8)

    np.testing.assert_allclose(read(file(image, "JPEG")), plain(image), atol=0.05)


def test_a_larger_image_is_averaged_down() -> None:
    doubled = GREY_PIXELS.repeat(4, 0).repeat(4, 1)
    expected = np.asarray(Image.fromarray(doubled).resize((6, 8), Image.Resampling.BILINEAR))

    np.testing.assert_array_equal(read(file(doubled)), plain(expected))


def test_the_orientation_of_the_file_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 270 degrees
    turned = Image.fromarray(GREY_PIXELS).transpose(Image.Transpose.ROTATE_90)

    np.testing.assert_array_equal(read(file(turned, exif=exif)), plain(GREY_PIXELS))


def test_transparency_is_laid_on_black() -> None:
    transparent = np.dstack([RGB_PIXELS, np.zeros((8, 6), np.uint8)])

    np.testing.assert_array_equal(read(file(transparent), RGB), plain(np.zeros((8, 6, 3), np.uint8), RGB))


def test_sixteen_bits_keep_their_upper_eight() -> None:
    deep = GREY_PIXELS.astype(np.uint16) * 256 + 7

    np.testing.assert_array_equal(read(file(deep)), plain(GREY_PIXELS))


def test_a_palette_is_looked_up() -> None:
    image = Image.fromarray(GREY_PIXELS // 64 * 64).convert("P")

    np.testing.assert_array_equal(read(file(image)), plain(GREY_PIXELS // 64 * 64))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        file(GREY_PIXELS)[:60],
        file(GREY_PIXELS, "JPEG")[:200],
        file(GREY_PIXELS, "BMP"),
        b"\x89PNG\r\n\x1a\n",
    ],
    ids=["empty", "text", "cut PNG", "cut JPEG", "another format", "only a signature"],
)
def test_what_is_no_image_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput) as caught:
        read(data)

    assert caught.value.field == "body"


def bomb(width: int, height: int) -> bytes:
    """A PNG that says it is huge, with next to nothing inside."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(101, 100), (20_000, 20_000), (2**31 - 1, 2**31 - 1)])
def test_too_many_pixels_are_refused_before_they_are_decoded(size: tuple[int, int]) -> None:
    with pytest.raises(TooLarge):
        read(bomb(*size))


@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda tail: file(GREY_PIXELS)[:40] + tail))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    assert_read_or_refused(data)


@given(position=st.integers(0, 10_000), value=st.integers(0, 255))
def test_any_damage_is_read_or_refused(position: int, value: int) -> None:
    for kind in ("PNG", "JPEG"):
        data = bytearray(file(GREY_PIXELS, kind))
        data[position % len(data)] = value
        assert_read_or_refused(bytes(data))


def assert_read_or_refused(data: bytes) -> None:
    with suppress(InvalidInput):  # and nothing else
        assert read(data).shape == (1, 8, 6)


class TestOverHttp:
    """POST /v2/models/{m}/predict."""

    pixels = GENERATOR.integers(0, 256, (8, 8), dtype=np.uint8)

    @pytest.mark.parametrize("url", ["/v2/models/shapes/predict", "/v2/models/shapes/versions/1/predict"])
    def test_it_answers_what_the_tensor_gives(self, client: TestClient, url: str) -> None:
        answer = client.post(url, content=file(self.pixels)).json()
        row = ((self.pixels / 255 - 0.1307) / 0.3081).reshape(1, 1, 8, 8)
        tensor = {"name": "input", "datatype": "FP32", "shape": [1, 1, 8, 8], "data": row.tolist()}
        output = client.post("/v2/models/shapes/infer", json={"inputs": [tensor]}).json()["outputs"][0]["data"]
        softmax = np.exp(output) / np.exp(output).sum()

        assert [entry["label"] for entry in answer["probabilities"]] == ["circle", "square", "star"]
        np.testing.assert_allclose([entry["probability"] for entry in answer["probabilities"]], softmax, rtol=1e-5)
        assert answer["label"] == ["circle", "square", "star"][int(np.argmax(output))]
        assert answer["probability"] == max(entry["probability"] for entry in answer["probabilities"])

    def test_what_is_no_image_is_refused_by_field(self, client: TestClient) -> None:
        response = client.post("/v2/models/shapes/predict", content=b"hello")

        assert response.status_code == 400
        assert response.json()["error"].startswith("body: ")

    def test_too_many_pixels_are_too_large(self, client: TestClient) -> None:
        assert client.post("/v2/models/shapes/predict", content=bomb(20_000, 20_000)).status_code == 413

    def test_a_model_of_other_things_says_so(self, client: TestClient) -> None:
        response = client.post("/v2/models/tiny/predict", content=file(self.pixels))

        assert response.status_code == 400
        assert "does not say how to read images" in response.json()["error"]

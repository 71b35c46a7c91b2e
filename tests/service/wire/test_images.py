"""Bodies that are images: `service.wire.images`."""

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFile

from models.errors import InvalidInput, TooLarge
from models.manifest import ImagePreprocessing
from service.wire import image_header
from service.wire.images import decode
from tests.image_files import encode, png_header, random_pixels

GREY = ImagePreprocessing(mode="grey", height=8, width=6, scale=1 / 255, mean=(0.1307,), std=(0.3081,))
RGB = ImagePreprocessing(mode="rgb", height=8, width=6, scale=1 / 255, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
RAW_GREY = ImagePreprocessing(mode="grey", height=8, width=6, scale=1, mean=(0,), std=(1,))
RAW_RGB = ImagePreprocessing(mode="rgb", height=8, width=6, scale=1, mean=(0, 0, 0), std=(1, 1, 1))
MAX_PIXELS = 10_000

FORMATS = pytest.mark.parametrize("file_format", ["PNG", "JPEG"])


def test_a_grey_image_that_fits_is_normalised_bit_for_bit_as_numpy_does() -> None:
    image = random_pixels(8, 6)

    expected = image.astype(np.float32) * np.float32(1 / 255)
    expected = (expected - np.float32(0.1307)) / np.float32(0.3081)

    actual = decode(encode(image), GREY, MAX_PIXELS)
    assert actual.dtype == np.float32
    assert actual.tobytes() == expected[None].tobytes()


def test_a_colour_image_has_its_channels_first_each_with_its_own_mean_and_std() -> None:
    image = random_pixels(8, 6, 3)

    planes = np.moveaxis(image, -1, 0).astype(np.float32) * np.float32(1 / 255)
    mean, std = (np.float32(values).reshape(3, 1, 1) for values in (RGB.mean, RGB.std))

    actual = decode(encode(image), RGB, MAX_PIXELS)
    assert actual.flags.c_contiguous
    assert actual.tobytes() == ((planes - mean) / std).tobytes()


def test_a_jpeg_is_read_as_pillow_reads_it() -> None:
    data = encode(random_pixels(8, 6, 3), "JPEG")

    expected = np.asarray(Image.open(BytesIO(data))).transpose(2, 0, 1)

    assert (decode(data, RAW_RGB, MAX_PIXELS) == expected).all()


def test_an_image_of_another_size_is_resized_over_all_of_its_pixels() -> None:
    """Without antialiasing, a fine checkerboard would become black or white instead of the grey it is."""
    board = np.indices((80, 60)).sum(axis=0) % 2 * 255

    actual = decode(encode(board.astype(np.uint8)), RAW_GREY, MAX_PIXELS)

    assert actual.shape == (1, 8, 6)
    assert np.abs(actual - 127.5).max() < 5


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("preprocessing", [RAW_GREY, RAW_RGB], ids=["grey", "rgb"])
def test_strips_make_no_difference(
    mode: str, preprocessing: ImagePreprocessing, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = random_pixels(70, 50, dtype=np.uint16) if mode == "I;16" else random_pixels(70, 50, 4)
    image = Image.fromarray(pixels)
    data = encode(image if mode == "I;16" else image.convert(mode))
    whole = decode(data, preprocessing, MAX_PIXELS)

    monkeypatch.setattr("models.preprocessing._STRIP_PIXELS", 120)

    assert decode(data, preprocessing, MAX_PIXELS).tobytes() == whole.tobytes()


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_an_image_is_resized_as_pillow_resizes_it(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.preprocessing._STRIP_PIXELS", 120)
    image = Image.fromarray(random_pixels(70, 50, 3)).convert(mode)
    expected = np.asarray(image.resize((6, 8), Image.Resampling.BILINEAR)).reshape(8, 6, -1).transpose(2, 0, 1)

    assert (decode(encode(image), RAW_GREY if mode == "L" else RAW_RGB, MAX_PIXELS) == expected).all()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (png_header(100, 50), 20_000),
        (encode(random_pixels(8, 6, 3), "JPEG"), 4 * 48),
        (encode(random_pixels(8, 6, 3), "JPEG", progressive=True), 10 * 48),
        (encode(random_pixels(8, 6), "GIF"), 1),
        (b"\xff\xd8" + b"\xff\xe1\x00\x02" * 100_000, 1),
        (b"", 1),
    ],
)
def test_the_memory_that_decoding_takes_is_known_before(data: bytes, expected: int) -> None:
    assert image_header.decoding_bytes(data) == expected


def test_of_several_sizes_in_a_jpeg_the_largest_counts() -> None:
    data = encode(random_pixels(8, 6, 3), "JPEG")
    frame = data[data.index(b"\xff\xc0") :][:19]
    larger = frame[:5] + b"\x10\x00\x10\x00" + frame[9:]

    assert image_header.decoding_bytes(data.replace(frame, larger + frame)) == 4 << 24


def test_a_jpeg_of_very_many_scans_is_refused() -> None:
    data = encode(random_pixels(8, 6, 3), "JPEG", progressive=True)

    with pytest.raises(TooLarge, match="scans"):
        decode(data[:-2] + b"\xff\xda" * 200 + data[-2:], GREY, MAX_PIXELS)


def test_a_side_that_no_camera_has_is_refused() -> None:
    with pytest.raises(TooLarge, match="of a side"):
        decode(png_header(1, 70_000), GREY, 100_000)


def test_a_smaller_image_is_enlarged() -> None:
    assert (decode(encode(np.full((2, 3), 7, np.uint8)), RAW_GREY, MAX_PIXELS) == np.full((1, 8, 6), 7)).all()


def test_grey_becomes_colour_with_three_equal_channels() -> None:
    image = random_pixels(8, 6)

    assert (decode(encode(image), RAW_RGB, MAX_PIXELS) == image[None].repeat(3, axis=0)).all()


def test_colour_becomes_grey_by_the_luma_of_bt601() -> None:
    image = random_pixels(8, 6, 3)

    expected = image @ np.array([0.299, 0.587, 0.114])

    assert np.abs(decode(encode(image), RAW_GREY, MAX_PIXELS)[0] - expected).max() <= 0.51


@pytest.mark.parametrize("orientation", range(1, 9))
@FORMATS
def test_an_image_is_turned_as_its_exif_says(file_format: str, orientation: int) -> None:
    upright = np.zeros((8, 6), np.uint8)
    upright[:4, :3] = 80
    upright[:4, 3:] = 160
    upright[4:, :3] = 240
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 100} if file_format == "JPEG" else {}

    actual = decode(encode(np.ascontiguousarray(stored), file_format, exif=exif, **options), RAW_GREY, MAX_PIXELS)

    assert np.abs(actual[0] - upright).max() <= 2


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_transparent_pixels_are_black_and_half_transparent_ones_half_as_bright(mode: str) -> None:
    colours = (200, 200) if mode == "LA" else (200, 200, 200, 200)
    image = Image.new(mode, (6, 8), colours)
    alpha = np.full((8, 6), 255, np.uint8)
    alpha[0], alpha[1] = 0, 128
    image.putalpha(Image.fromarray(alpha))

    actual = decode(encode(image), RAW_GREY, MAX_PIXELS)[0]

    assert (actual[0] == 0).all()
    assert np.abs(actual[1] - 100).max() <= 1
    assert (actual[2:] == 200).all()


def test_a_transparent_colour_of_a_palette_is_black() -> None:
    image = Image.new("P", (6, 8), 1)
    image.putpalette([9, 9, 9, 90, 90, 90])
    image.putpixel((0, 0), 0)

    actual = decode(encode(image, transparency=1), RAW_GREY, MAX_PIXELS)[0]

    assert actual[0, 0] == 9
    assert actual.sum() == 9


@pytest.mark.parametrize("preprocessing", [RAW_GREY, RAW_RGB], ids=["grey", "rgb"])
def test_of_16_bit_grey_the_upper_8_bits_are_taken(preprocessing: ImagePreprocessing) -> None:
    image = random_pixels(8, 6, dtype=np.uint16)

    assert (decode(encode(image), preprocessing, MAX_PIXELS) == image >> 8).all()


def test_the_transparent_level_of_16_bit_grey_is_black() -> None:
    image = np.full((8, 6), 40_000, np.uint16)
    image[0] = 40_001

    actual = decode(encode(image, transparency=40_001), RAW_GREY, MAX_PIXELS)[0]

    assert (actual[0] == 0).all()
    assert (actual[1:] == 40_000 >> 8).all()


def test_a_black_and_white_image_spans_the_whole_range() -> None:
    image = Image.new("1", (6, 8), 1)

    assert (decode(encode(image), RAW_GREY, MAX_PIXELS) == 255).all()


def test_a_cmyk_jpeg_is_converted() -> None:
    white = Image.new("CMYK", (6, 8), (0, 0, 0, 0))

    assert (decode(encode(white, "JPEG"), RAW_RGB, MAX_PIXELS) == 255).all()


@FORMATS
def test_as_many_pixels_as_allowed_pass_and_one_more_is_refused(file_format: str) -> None:
    data = encode(random_pixels(8, 6), file_format)

    decode(data, GREY, max_pixels=48)
    with pytest.raises(TooLarge, match="body: got 6 x 8 pixels, expected at most 47") as refusal:
        decode(data, GREY, max_pixels=47)
    assert refusal.value.field == "body"


@pytest.mark.parametrize("side", [10_000, 13_000, 2**31 - 1])
def test_a_bomb_is_refused_without_being_allocated(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sizes are below, within and above where Pillow warns and then refuses by itself."""
    allocated: list[ImageFile.ImageFile] = []
    monkeypatch.setattr(ImageFile.ImageFile, "load_prepare", allocated.append)
    with pytest.raises(InvalidInput):
        decode(png_header(6, 8), GREY, MAX_PIXELS)
    assert len(allocated) == 1, "this is where Pillow allocates"

    with pytest.raises(TooLarge):
        decode(png_header(side, side), GREY, MAX_PIXELS)

    assert len(allocated) == 1


def test_a_size_that_pillow_would_warn_about_passes_where_the_limit_allows_it() -> None:
    """The one row that the file holds is too few, and that is what is refused."""
    with pytest.raises(InvalidInput, match="truncated") as refusal:
        decode(png_header(50_000, 2_000), GREY, max_pixels=100_000_000)
    assert not isinstance(refusal.value, TooLarge)


@pytest.mark.parametrize("keep", [0, 1, 8, 20, 0.5, 0.9])
@FORMATS
def test_a_truncated_image_is_refused(file_format: str, keep: float) -> None:
    data = encode(random_pixels(60, 60), file_format)

    with pytest.raises(InvalidInput, match="body: expected a PNG or JPEG image") as refusal:
        decode(data[: int(keep * len(data)) if isinstance(keep, float) else keep], GREY, MAX_PIXELS)
    assert refusal.value.field == "body"


def test_an_image_that_curl_has_sent_as_text_is_refused_with_advice() -> None:
    stripped = encode(random_pixels(60, 60), "PNG").translate(None, b"\r\n\0")  # as `curl -d @image.png` does

    with pytest.raises(InvalidInput, match="without its line ends; use curl --data-binary"):
        decode(stripped, RAW_GREY, MAX_PIXELS)


@pytest.mark.parametrize("file_format", ["GIF", "BMP", "TIFF", "WEBP", "PPM", "ICO"])
def test_an_image_of_another_format_is_refused(file_format: str) -> None:
    with pytest.raises(InvalidInput):
        decode(encode(random_pixels(8, 6), file_format), GREY, MAX_PIXELS)


def test_a_text_chunk_that_inflates_without_end_is_refused() -> None:
    """Pillow reads compressed texts before the pixels."""
    text = b"k\0\0" + zlib.compress(bytes(100_000_000), 9)
    chunk = struct.pack(">I", len(text)) + b"zTXt" + text + struct.pack(">I", zlib.crc32(b"zTXt" + text))
    data = encode(random_pixels(8, 6))

    with pytest.raises(InvalidInput):
        decode(data[:33] + chunk + data[33:], GREY, MAX_PIXELS)


def test_running_out_of_memory_is_not_blamed_on_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image, "open", exhausted)
    with pytest.raises(MemoryError):
        decode(png_header(6, 8), GREY, MAX_PIXELS)


@given(data=st.binary())
def test_random_bytes_are_refused_as_invalid_input(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        decode(data, GREY, MAX_PIXELS)


@given(
    prefix=st.sampled_from([encode(random_pixels(8, 6)), encode(random_pixels(8, 6, 3), "JPEG")]),
    place=st.floats(0, 1),
    data=st.binary(min_size=1, max_size=40),
)
def test_a_damaged_image_is_an_array_or_invalid_input(prefix: bytes, place: float, data: bytes) -> None:
    """Damage that hits only metadata may pass, and no damage ever raises anything else."""
    start = int(place * len(prefix))
    try:
        values = decode(prefix[:start] + data + prefix[start + len(data) :], GREY, MAX_PIXELS)
    except InvalidInput:
        return
    assert values.shape == (1, 8, 6)
    assert np.isfinite(values).all()


def test_a_form_is_refused_with_the_command_that_sends_the_file() -> None:
    form = b'--b\r\nContent-Disposition: form-data; name="image"; filename="x.png"\r\n\r\n'

    with pytest.raises(InvalidInput, match=r"curl --data-binary @image\.png"):
        decode(form + encode(random_pixels(8, 6)), GREY, MAX_PIXELS)

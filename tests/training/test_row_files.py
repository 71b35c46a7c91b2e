"""Rows from files that users have."""

from pathlib import Path

import numpy as np
import pytest

from models.errors import InvalidInput
from models.manifest import ImagePreprocessing, TensorSpec
from service.wire.images import decode
from tests.image_files import encode, random_pixels
from training import row_files

INPUTS = (TensorSpec(name="x", datatype="FP32", shape=(-1, 4)),)
TWO_INPUTS = (*INPUTS, TensorSpec(name="mask", datatype="BOOL", shape=(-1,)))


def test_an_npy_file_is_for_a_model_of_one_input_and_float64_is_rounded(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(5, 4))
    np.save(tmp_path / "rows.npy", values)

    rows = row_files.read(tmp_path / "rows.npy", "data", INPUTS)

    assert rows["x"].dtype == np.float32
    np.testing.assert_array_equal(rows["x"], values.astype(np.float32))
    with pytest.raises(InvalidInput, match="data: the model has several inputs"):
        row_files.read(tmp_path / "rows.npy", "data", TWO_INPUTS)


def test_an_npz_file_has_an_array_for_each_input(tmp_path: Path) -> None:
    np.savez(tmp_path / "rows.npz", x=np.zeros((5, 4), np.float32), mask=np.ones(5, bool))

    rows = row_files.read(tmp_path / "rows.npz", "data", TWO_INPUTS)

    assert {name: (values.shape, values.dtype.name) for name, values in rows.items()} == {
        "x": ((5, 4), "float32"),
        "mask": ((5,), "bool"),
    }
    with pytest.raises(InvalidInput, match=r"data: .* must have an array for each input: x"):
        row_files.read(tmp_path / "rows.npz", "data", INPUTS)


def test_types_that_would_lose_more_than_digits_are_left_for_validation_to_refuse(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", np.zeros((5, 4), complex))

    assert row_files.read(tmp_path / "rows.npy", "data", INPUTS)["x"].dtype == np.complex128


def test_pixels_are_prepared_where_it_is_known_how(tmp_path: Path) -> None:
    preprocessing = ImagePreprocessing(mode="grey", height=2, width=2, scale=1 / 255, mean=(0.5,), std=(0.25,))
    pixels = np.array([[0, 51, 102, 255]], np.uint8)
    np.save(tmp_path / "pixels.npy", pixels)

    rows = row_files.read(tmp_path / "pixels.npy", "data", INPUTS, preprocessing)["x"]

    np.testing.assert_allclose(rows, [[-2.0, -1.2, -0.4, 2.0]], rtol=1e-6)
    np.save(tmp_path / "pixels.npy", pixels[:, 1:])
    with pytest.raises(InvalidInput, match=r"data: .* are not images of"):
        row_files.read(tmp_path / "pixels.npy", "data", INPUTS, preprocessing)


@pytest.mark.parametrize("name", ["missing.npy", "text.npy", "pickled.npy", "pickled.npz", "cut.npz"])
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "text.npy").write_text("not an array")
    np.save(tmp_path / "pickled.npy", np.array([{"a": 1}]), allow_pickle=True)
    np.savez(tmp_path / "pickled.npz", x=np.array([{}], dtype=object))
    np.savez(tmp_path / "cut.npz", x=np.zeros(100))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "cut.npz").read_bytes()[:-60])

    with pytest.raises(InvalidInput, match=rf"held-out: .*{name} cannot be read as an \.npy or \.npz file"):
        row_files.read(tmp_path / name, "held-out", INPUTS)


@pytest.mark.parametrize("header", ["", "a,b,c,d\n", "\ufeffa,b,c,d\n"])
def test_lines_of_numbers_are_rows_with_or_without_names(tmp_path: Path, header: str) -> None:
    values = np.random.default_rng(0).normal(size=(5, 4)).round(3)
    text = "\n".join(",".join(map(str, row)) for row in values.tolist())
    (tmp_path / "rows.csv").write_text(f"{header}{text}\n", "utf-8")

    rows = row_files.read(tmp_path / "rows.csv", "reference", INPUTS)

    np.testing.assert_array_equal(rows["x"], values.astype(np.float32))


@pytest.mark.parametrize("text", ["1,2\n3\n", "a,b\nc,d\n", "1;2;3;4\n1;2;3;4\n"])
def test_lines_that_are_no_numbers_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "rows.csv").write_text(text, "utf-8")

    with pytest.raises(InvalidInput, match=r"reference: .* cannot be read as lines of numbers"):
        row_files.read(tmp_path / "rows.csv", "reference", INPUTS)


def test_fractions_are_no_integers(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("1,2\n3,4.5\n", "utf-8")
    inputs = (TensorSpec(name="ids", datatype="INT64", shape=(-1, 2)),)

    with pytest.raises(InvalidInput, match="has fractions; 'ids' takes INT64"):
        row_files.read(tmp_path / "rows.csv", "reference", inputs)


def test_a_folder_of_images_is_read_as_the_service_reads_them(tmp_path: Path) -> None:
    inputs = (TensorSpec(name="image", datatype="FP32", shape=(-1, 3, 6, 8)),)
    how = ImagePreprocessing(mode="rgb", height=6, width=8, scale=1 / 255, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    (tmp_path / "more").mkdir()
    pixels = random_pixels(2, 12, 10)
    for path, image in zip(("b.png", "more/a.PNG"), pixels, strict=True):
        (tmp_path / path).write_bytes(encode(image))
    (tmp_path / "notes.txt").write_text("no image")

    rows = row_files.read(tmp_path, "reference", inputs, how)

    expected = [decode(encode(image), how, 1 << 20) for image in pixels]
    np.testing.assert_allclose(rows["image"], np.stack(expected), rtol=1e-6, atol=1e-6)
    with pytest.raises(InvalidInput, match="it is not said how they become rows"):
        row_files.read(tmp_path, "reference", inputs)
    (tmp_path / "c.jpg").write_bytes(b"no image")
    with pytest.raises(InvalidInput, match=r"c\.jpg cannot be read as a PNG or JPEG image"):
        row_files.read(tmp_path, "reference", inputs, how)


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    how = ImagePreprocessing(mode="grey", height=1, width=4, scale=1, mean=(0.0,), std=(1.0,))

    with pytest.raises(InvalidInput, match=r"has no files that end in \.png"):
        row_files.read(tmp_path, "reference", INPUTS, how)

"""Held-out rows in a bundle: what is kept, and what is not read."""

import io
import zipfile

import numpy as np
import pytest

from models.errors import ForeignBundle
from models.manifest import TensorSpec
from models.repository import held_out

INPUTS = (TensorSpec(name="x", datatype="FP32", shape=(-1, 3)), TensorSpec(name="mask", datatype="BOOL", shape=(-1,)))


def rows(count: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    return {"x": generator.normal(size=(count, 3)).astype(np.float32), "mask": generator.random(count) < 0.5}


def test_rows_come_back_as_they_were_and_the_file_is_the_same_each_time() -> None:
    packed = held_out.pack(rows(5))

    assert packed is not None
    assert packed == held_out.pack(rows(5))
    for name, values in held_out.unpack(packed, INPUTS).items():
        np.testing.assert_array_equal(values, rows(5)[name])
        assert values.dtype == rows(5)[name].dtype


def test_at_most_so_many_rows_are_chosen_from_all_over() -> None:
    chosen = held_out.choose(rows(10_000))

    assert len(chosen["x"]) == len(chosen["mask"]) == held_out.MAX_KEPT_ROWS
    positions = [np.flatnonzero((rows(10_000)["x"] == row).all(axis=1))[0] for row in chosen["x"]]
    assert positions == sorted(set(positions))
    assert positions[0] < 500
    assert positions[-1] > 9_500
    assert len(held_out.choose(rows(7))["x"]) == 7


def test_large_rows_are_fewer() -> None:
    large = {"x": np.broadcast_to(np.float32(0), (300, 1 << 20))}

    assert len(held_out.choose(large)["x"]) == held_out.MAX_KEPT_BYTES // (4 << 20)


def test_text_and_nothing_are_not_kept() -> None:
    assert held_out.pack({"words": np.array([b"a", b"b"], object)}) is None
    assert held_out.pack({"x": np.zeros((0, 3), np.float32)}) is None


def packed(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def bomb() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", bytes(held_out.MAX_KEPT_BYTES * 2))
    return file.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a zip file",
        packed(x=np.zeros((3, 3), np.float32)),
        packed(x=np.zeros((3, 3), np.float32), mask=np.zeros(4, bool)),
        packed(x=np.array([None]), mask=np.zeros(1, bool)),
        packed(x=np.zeros((3, 3), np.float32), mask=np.zeros(3, bool))[:-40],
        bomb(),
    ],
    ids=["empty", "text", "an input too few", "different lengths", "pickled", "cut short", "too large"],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(ForeignBundle, match="the held-out rows"):
        held_out.unpack(data, INPUTS)

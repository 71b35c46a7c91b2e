"""Names of the protocol and numpy types: `models.datatypes`."""

import numpy as np
import pytest
from ml_dtypes import bfloat16

from models.datatypes import DATATYPES, FLOATING, Datatype, from_numpy, to_numpy


@pytest.mark.parametrize("name", DATATYPES)
def test_there_and_back_is_the_same(name: Datatype) -> None:
    assert from_numpy(to_numpy(name)) == name


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("BOOL", bool),
        ("UINT8", np.uint8),
        ("INT64", np.int64),
        ("FP16", np.half),
        ("BF16", bfloat16),
        ("FP64", float),
        ("BYTES", object),
    ],
)
def test_names_mean_what_they_say(name: Datatype, dtype: type) -> None:
    assert to_numpy(name) == np.dtype(dtype)


@pytest.mark.parametrize("dtype", ["complex64", "S3", "U3", "V2", "datetime64[s]", "float8_e5m2"])
def test_types_that_the_protocol_does_not_have_are_refused(dtype: str) -> None:
    with pytest.raises(KeyError):
        from_numpy(np.dtype(dtype))


def test_what_floats_is_what_can_be_half() -> None:
    halves = {name for name in DATATYPES if name != "BYTES" and np.array([0.5]).astype(to_numpy(name))[0] == 0.5}

    assert halves == FLOATING

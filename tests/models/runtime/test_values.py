"""Arrays -> values of onnxruntime's own -> arrays."""

from typing import Any

import numpy as np
import pytest
from ml_dtypes import bfloat16

from models.datatypes import DATATYPES, Datatype, to_numpy
from models.runtime.values import to_array, to_value

NUMBERS = [datatype for datatype in DATATYPES if datatype != "BYTES"]


def numbers(datatype: Datatype) -> np.ndarray:
    return np.arange(6).reshape(3, 2).astype(to_numpy(datatype))


@pytest.mark.parametrize("datatype", NUMBERS)
def test_a_value_has_the_arrays_type_shape_and_bits(datatype: Datatype) -> None:
    array = numbers(datatype)

    back = to_array(to_value(array))

    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert back.tobytes() == array.tobytes()


@pytest.mark.parametrize("datatype", ["FP32", "BF16", "BOOL"])
def test_extra_rows_are_zeros(datatype: Datatype) -> None:
    array = numbers(datatype)

    back = to_array(to_value(array, 2))

    assert back.shape == (5, 2)
    np.testing.assert_array_equal(back[:3], array)
    assert not back[3:].any()


@pytest.mark.parametrize("dtype", [np.float32, bfloat16])
def test_a_view_with_strides_is_copied_right(dtype: Any) -> None:
    wide = np.arange(12).reshape(3, 4).astype(dtype)

    back = to_array(to_value(wide[:, ::2]))

    np.testing.assert_array_equal(back.astype(np.float32), [[0, 2], [4, 6], [8, 10]])


def test_an_array_without_rows_stays_without() -> None:
    assert to_array(to_value(np.zeros((0, 2), np.float32))).shape == (0, 2)

"""Between numpy arrays and onnxruntime's own values, which runs on a GPU and bfloat16 need."""

import ctypes
from math import prod

import numpy as np
import onnxruntime

from models.datatypes import Array, to_numpy

BFLOAT16 = "tensor(bfloat16)"
TEXT = "tensor(string)"

_BFLOAT16_NUMBER = 16
"""Of this type in ONNX."""


def tensor_types(session: onnxruntime.InferenceSession) -> set[str]:
    """The types of a session's inputs and outputs, as onnxruntime names them."""
    return {tensor.type for tensor in (*session.get_inputs(), *session.get_outputs())}


def to_value(array: Array, extra_rows: int = 0) -> onnxruntime.OrtValue:
    """The array as a value, with rows of zeros after its own.

    Args:
        array: shape (n, ...), of any type but text; of any shape where no rows are added.
        extra_rows: how many rows of zeros.
    """
    shape = (len(array) + extra_rows, *array.shape[1:]) if extra_rows else array.shape
    if array.dtype.kind == "V":  # bfloat16
        bits = _fill(np.empty(shape, np.uint16), array.view(np.uint16))
        return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(bits, _BFLOAT16_NUMBER)
    whole = array if array.flags.c_contiguous and not extra_rows else _fill(np.empty(shape, array.dtype), array)
    return onnxruntime.OrtValue.ortvalue_from_numpy(whole)


def to_array(value: onnxruntime.OrtValue) -> Array:
    """The value of a run as an array."""
    if value.element_type() != _BFLOAT16_NUMBER:
        array: Array = value.numpy()
        return array
    shape = value.shape()
    raw = ctypes.string_at(value.data_ptr(), 2 * prod(shape))
    return np.frombuffer(raw, to_numpy("BF16")).reshape(shape)


def _fill(buffer: Array, array: Array) -> Array:
    if buffer.shape == array.shape:
        buffer[...] = array
    else:
        buffer[: len(array)] = array
        buffer[len(array) :] = 0
    return buffer

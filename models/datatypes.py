"""The data types of the Open Inference Protocol and their numpy counterparts; tensors by name."""

from collections.abc import Callable
from functools import cache
from typing import Any, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

Arrays = dict[str, Array]
"""Tensors by name. Those of rows are of shape (N, ...) each."""

Run = Callable[[Arrays], Arrays]
"""A graph or network as a function: inputs by name -> outputs by name."""

Datatype = Literal[
    "BOOL",
    "UINT8",
    "UINT16",
    "UINT32",
    "UINT64",
    "INT8",
    "INT16",
    "INT32",
    "INT64",
    "FP16",
    "BF16",
    "FP32",
    "FP64",
    "BYTES",
]

DATATYPES: tuple[Datatype, ...] = get_args(Datatype)

FLOATING: frozenset[Datatype] = frozenset({"FP16", "BF16", "FP32", "FP64"})
"""Those with fractions, NaN and infinities."""

_NUMPY_NAMES = {"BOOL": "bool", "FP16": "float16", "FP32": "float32", "FP64": "float64", "BYTES": "object"}


@cache
def to_numpy(datatype: Datatype) -> np.dtype:
    """The numpy type of a protocol type, e.g. ``FP32`` -> ``float32``.

    ``BF16``, which numpy does not have, is the one of `ml_dtypes`. ``BYTES`` is ``object``, its elements being `str`:
    strings of ONNX are UTF-8.
    """
    if datatype == "BF16":
        from ml_dtypes import bfloat16  # noqa: PLC0415 - slow to import, and few models have it

        return np.dtype(cast("type", bfloat16))
    return np.dtype(_NUMPY_NAMES.get(datatype, datatype.lower()))


def from_numpy(dtype: np.dtype) -> Datatype:
    """The protocol type of a numpy type.

    Raises:
        KeyError: the protocol has no such type.
    """
    return "BF16" if dtype.kind == "V" and dtype.name == "bfloat16" else _FROM_NUMPY[dtype]


_FROM_NUMPY: dict[np.dtype, Datatype] = {to_numpy(name): name for name in DATATYPES if name != "BF16"}

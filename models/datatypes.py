"""The data types of the Open Inference Protocol and their numpy counterparts."""

from typing import Literal, get_args

import numpy as np

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
    "FP32",
    "FP64",
]

DATATYPES: tuple[Datatype, ...] = get_args(Datatype)

_NUMPY_NAMES = {"BOOL": "bool", "FP16": "float16", "FP32": "float32", "FP64": "float64"}


def to_numpy(datatype: Datatype) -> np.dtype:
    """The numpy type of a protocol type, e.g. ``FP32`` -> ``float32``."""
    return np.dtype(_NUMPY_NAMES.get(datatype, datatype.lower()))


def from_numpy(dtype: np.dtype) -> Datatype:
    """The protocol type of a numpy type.

    Raises:
        KeyError: the protocol has no such type.
    """
    return _FROM_NUMPY[dtype]


_FROM_NUMPY: dict[np.dtype, Datatype] = {to_numpy(name): name for name in DATATYPES}

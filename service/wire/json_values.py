"""JSON text to objects, and nested lists to arrays, strictly: what is not exactly a number of the type is an error."""

import json
from collections.abc import Sequence
from itertools import chain
from math import prod
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from models.datatypes import Datatype, to_numpy
from models.errors import InvalidInput

Array = NDArray[Any]

_MAX_RANK = 32
_SMALL_BODY = 1 << 20
_LEAF_NAMES = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    dict: "an object",
}


def parse_object(body: bytes) -> dict[str, Any]:
    """A JSON object.

    Raises:
        InvalidInput: the body is not JSON, nests too deep, or is not an object.
    """
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        parsed = _with_nan_tokens(body, error)
    if not isinstance(parsed, dict):
        raise InvalidInput("must be a JSON object", "body")
    return parsed


def to_array(data: Any, datatype: Datatype, field: str) -> Array:
    """Nested lists to an array of the same nesting.

    Args:
        data: lists of lists of numbers, all lists of one level equally long; or an array that was made of them.
        datatype: what the numbers must be.
        field: where the data stands in the request, for the error.

    Raises:
        InvalidInput: the data is not a list, is ragged, or holds a value that the type cannot take exactly (integers),
            within its range (all), or as a number at all (NaN and infinities).
    """
    if isinstance(data, np.ndarray):
        if data.dtype != to_numpy(datatype):
            raise InvalidInput(f"is {data.dtype}, not {datatype}", field)
        return data
    if not isinstance(data, list):
        raise InvalidInput("must be a list of numbers", field)
    dims: list[int] = []
    level: list[Any] = [data]
    while True:
        kinds = set(map(type, level))
        if list not in kinds:
            break
        lengths = set(map(len, level)) if len(kinds) == 1 else set()
        if len(lengths) != 1:
            raise InvalidInput(f"is ragged: the lists at depth {len(dims)} differ in length or kind", field)
        if len(dims) == _MAX_RANK:
            raise InvalidInput(f"nests deeper than {_MAX_RANK} levels", field)
        dims.append(lengths.pop())
        level = list(chain.from_iterable(level))
    _check_kinds(level, kinds, datatype, field)
    return _convert(level, datatype, field).reshape(dims)


def match_shape(array: Array, shape: Sequence[int], field: str) -> Array:
    """The array in the shape that was declared: it has that nesting, or is flat in row-major order.

    Raises:
        InvalidInput: it is neither.
    """
    if array.shape == tuple(shape):
        return array
    if array.ndim == 1 and array.size == prod(shape):
        return array.reshape(shape)
    if array.ndim == 1:
        raise InvalidInput(f"has {array.size} values, but shape {list(shape)} takes {prod(shape)}", field)
    raise InvalidInput(f"has shape {list(array.shape)}, but shape {list(shape)} was declared", field)


def require_finite(array: Array, field: str) -> None:
    """Refuse NaN and infinities, which would silently spread through the network.

    Raises:
        InvalidInput: names the first such value.
    """
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        index = int(np.flatnonzero(~np.isfinite(array))[0])
        raise InvalidInput(f"{array.reshape(-1)[index]} is not a finite {array.dtype} number", f"{field}[{index}]")


def _with_nan_tokens(body: bytes, error: orjson.JSONDecodeError) -> Any:
    # Python clients write bare NaN and Infinity, which JSON does not have. Reading them lets the error name the value.
    if len(body) <= _SMALL_BODY and (b"NaN" in body or b"Infinity" in body):
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            pass
    raise InvalidInput(f"is not valid JSON: {error}", "body") from error


def _check_kinds(leaves: list[Any], kinds: set[type], datatype: Datatype, field: str) -> None:
    allowed: set[type] = {bool} if datatype == "BOOL" else {int, float} if datatype.startswith("FP") else {int}
    if wrong := kinds - allowed:
        index = next(i for i, leaf in enumerate(leaves) if type(leaf) in wrong)
        leaf = leaves[index]
        shown = repr(leaf) if isinstance(leaf, float) else _LEAF_NAMES[type(leaf)]
        raise InvalidInput(f"{shown} where {datatype} is expected", f"{field}[{index}]")


def _convert(leaves: list[Any], datatype: Datatype, field: str) -> Array:
    dtype = to_numpy(datatype)
    try:
        with np.errstate(over="ignore"):
            array = np.array(leaves, dtype=dtype)
    except OverflowError:
        limits = np.iinfo(dtype) if dtype.kind in "iu" else np.finfo(dtype)
        bad = next(i for i, leaf in enumerate(leaves) if not limits.min <= leaf <= limits.max)
        raise InvalidInput(f"{leaves[bad]} is out of the range of {datatype}", f"{field}[{bad}]") from None
    require_finite(array, field)
    return array

"""Python values that were read from JSON to arrays, strictly."""

from typing import Any

import numpy as np

from models.datatypes import FLOATING, Array, Datatype, to_numpy
from models.errors import InvalidInput
from service.wire.json_text import kind_of

_KINDS: dict[Datatype, set[type]] = {"BOOL": {bool}, "BYTES": {str}, **{name: {int, float} for name in FLOATING}}
"""Python types of the values of a datatype; of the integers, int only."""


def convert(values: list[Any], datatype: Datatype, field: str, *, finite: bool, first: int = 0) -> Array:
    """Values to an array of shape (n,).

    Args:
        values: from JSON, no list among them.
        datatype: what they must be.
        field: where the list stands in the request, for errors.
        finite: whether NaN and infinities are refused; if they are accepted, null is NaN.
        first: position of the first value in the list, for errors.

    Raises:
        InvalidInput: a value is of another type, out of range, or not finite.
    """
    _require_kinds(values, datatype, field, finite=finite, first=first)
    dtype = to_numpy(datatype)
    try:
        if datatype not in FLOATING:
            return np.array(values, dtype=dtype)
        wide = np.array(values, dtype=np.float64)  # null becomes NaN
    except OverflowError:
        limits = np.finfo(np.float64) if datatype in FLOATING else np.iinfo(dtype)
        bad = next(i for i, value in enumerate(values) if type(value) is int and not limits.min <= value <= limits.max)
        raise _out_of_range(values[bad], datatype, f"{field}[{first + bad}]") from None
    with np.errstate(over="ignore"):
        array = wide.astype(dtype, copy=False)
    beyond = np.isinf(array) & np.isfinite(wide)
    if beyond.any():
        bad = int(np.flatnonzero(beyond)[0])
        raise _out_of_range(values[bad], datatype, f"{field}[{first + bad}]")
    if finite:
        require_finite(array, field, first)
    return array


def require_finite(array: Array, field: str, first: int = 0) -> None:
    """Refuse NaN and infinities, which would silently spread through the network.

    Args:
        array: of any type.
        field: where it stands in the request, for errors.
        first: position of its first value there.

    Raises:
        InvalidInput: names the first such value.
    """
    # Of kind V is bfloat16, which is not numpy's own.
    if array.dtype.kind in "fV" and not np.isfinite(array).all():
        index = int(np.flatnonzero(~np.isfinite(array))[0])
        raise InvalidInput(f"got {array.reshape(-1)[index]}, expected a finite number", f"{field}[{first + index}]")


def _require_kinds(values: list[Any], datatype: Datatype, field: str, *, finite: bool, first: int) -> None:
    allowed = _KINDS.get(datatype, {int})
    if not finite and datatype in FLOATING:
        allowed = {*allowed, type(None)}
    if wrong := set(map(type, values)) - allowed:
        index = next(i for i, value in enumerate(values) if type(value) in wrong)
        value = values[index]
        shown = repr(value) if isinstance(value, float) else kind_of(value)
        raise InvalidInput(f"got {shown}, expected {datatype}", f"{field}[{first + index}]")


def _out_of_range(value: object, datatype: Datatype, field: str) -> InvalidInput:
    return InvalidInput(f"got {value}, expected a number in the range of {datatype}", field)

"""Predictions in TensorFlow Serving's REST format (V1): rows (`instances`), or columns (`inputs`).

https://www.tensorflow.org/tfx/serving/api_rest
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from models.datatypes import Array
from models.errors import InvalidInput
from models.manifest import TensorSpec
from service.wire.json_arrays import to_array, to_json
from service.wire.json_object import parse_object, require_list
from service.wire.tensors import validate_row_counts, validate_tensor


@dataclass(frozen=True)
class PredictRequest:
    """A validated request.

    Attributes:
        inputs: every input of the model, by name.
        by_row: whether the request has rows, and so has the response.
    """

    inputs: Mapping[str, Array]
    by_row: bool


def decode(body: bytes, inputs: Sequence[TensorSpec], *, finite: bool = True) -> PredictRequest:
    """Decode and validate a request for a model with these inputs.

    `instances` is a list of rows: the values themselves for a model with one input, or an object with the value of each
    input by name. `inputs` has the values of all rows: those of the one input, or an object by name.

    Args:
        body: the whole body.
        inputs: of the model.
        finite: whether NaN and infinities are refused.

    Raises:
        InvalidInput: anything about the request is wrong; the field says what.
    """
    request = parse_object(body)
    by_row = "instances" in request
    if by_row == ("inputs" in request):
        raise InvalidInput("expected either 'instances' or 'inputs'", "body")
    columns = _columns_of_rows(request["instances"], inputs) if by_row else _columns(request["inputs"], inputs)
    arrays: dict[str, Array] = {}
    for spec in inputs:
        field, data = columns[spec.name]
        array = to_array(data, spec.datatype, field, finite=finite)
        validate_tensor(array.shape, spec.datatype, spec, field)
        arrays[spec.name] = array
    validate_row_counts(arrays, inputs)
    return PredictRequest(arrays, by_row)


def encode(request: PredictRequest, outputs: Mapping[str, Array]) -> bytes:
    """Encode the response: `predictions` row by row, or `outputs` in columns; by name if there are several outputs."""
    body: dict[str, Any]
    columns = {name: to_json(array) for name, array in outputs.items()}
    if not request.by_row:
        body = {"outputs": columns if len(columns) > 1 else next(iter(columns.values()))}
    elif len(columns) > 1:
        rows = zip(*columns.values(), strict=True)
        body = {"predictions": [dict(zip(columns, row, strict=True)) for row in rows]}
    else:
        body = {"predictions": next(iter(columns.values()))}
    return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)


def _columns_of_rows(given: Any, specs: Sequence[TensorSpec]) -> dict[str, tuple[str, Any]]:
    """The values of each input in all rows, with the field that they came from."""
    instances = require_list(given, "instances")
    if not instances:
        raise InvalidInput("got an empty list, expected at least one row", "instances")
    if not isinstance(instances[0], dict):
        _require_single(specs, "instances[0]")
        return {specs[0].name: ("instances", instances)}
    names = {spec.name for spec in specs}
    for position, row in enumerate(instances):
        if not isinstance(row, dict) or set(row) != names:
            raise InvalidInput(f"expected an object with exactly {sorted(names)}", f"instances[{position}]")
    return {name: (f"instances[*].{name}", [row[name] for row in instances]) for name in names}


def _columns(given: Any, specs: Sequence[TensorSpec]) -> dict[str, tuple[str, Any]]:
    """The values of each input, with the field that they came from."""
    if not isinstance(given, dict):
        _require_single(specs, "inputs")
        return {specs[0].name: ("inputs", given)}
    names = {spec.name for spec in specs}
    if set(given) != names:
        raise InvalidInput(f"got {sorted(given)}, expected exactly {sorted(names)}", "inputs")
    return {name: (f"inputs.{name}", given[name]) for name in names}


def _require_single(specs: Sequence[TensorSpec], field: str) -> None:
    if len(specs) > 1:
        raise InvalidInput(f"expected an object with exactly {sorted(spec.name for spec in specs)}", field)

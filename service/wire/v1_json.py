"""TensorFlow Serving's REST predictions (V1), in row format (`instances`) and in columns (`inputs`).

https://www.tensorflow.org/tfx/serving/api_rest
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from numpy.typing import NDArray

from models.errors import InvalidInput
from models.manifest import TensorSpec
from service.wire.json_values import parse_object, to_array, writable
from service.wire.v2_json import check_tensor, require_equal_rows

Array = NDArray[Any]


@dataclass(frozen=True)
class PredictRequest:
    """A checked request: every input of the model, and whether it came, and goes back, row by row."""

    inputs: Mapping[str, Array]
    by_row: bool


def decode(body: bytes, inputs: Sequence[TensorSpec], *, finite: bool = True) -> PredictRequest:
    """Read a request for a model with these inputs.

    `instances` is a list of rows: the values themselves for a model with one input, an object of values by input name
    for any model. `inputs` holds whole batches, bare or by name. `finite` says whether NaN and infinities are refused.

    Raises:
        InvalidInput: anything about the request is wrong; the field says what.
    """
    request = parse_object(body)
    by_row = "instances" in request
    if by_row == ("inputs" in request):
        raise InvalidInput("needs either 'instances' or 'inputs'", "body")
    columns = _columns(request["instances"], inputs) if by_row else _named(request["inputs"], inputs, "inputs")
    arrays: dict[str, Array] = {}
    for spec in inputs:
        field, data = columns[spec.name]
        array = to_array(data, spec.datatype, field, finite=finite)
        check_tensor(array.shape, spec.datatype, spec, field)
        arrays[spec.name] = array
    require_equal_rows(arrays, inputs)
    return PredictRequest(arrays, by_row)


def encode(request: PredictRequest, outputs: Mapping[str, Array]) -> bytes:
    """Write the response: `predictions` row by row, or `outputs` in columns; names only where there are several."""
    body: dict[str, Any]
    columns = {name: writable(array) for name, array in outputs.items()}
    if not request.by_row:
        body = {"outputs": columns if len(columns) > 1 else next(iter(columns.values()))}
    elif len(columns) > 1:
        rows = zip(*columns.values(), strict=True)
        body = {"predictions": [dict(zip(columns, row, strict=True)) for row in rows]}
    else:
        body = {"predictions": next(iter(columns.values()))}
    return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)


def _columns(instances: Any, specs: Sequence[TensorSpec]) -> dict[str, tuple[str, Any]]:
    """Rows to one list of values an input, each with the field that it came from."""
    if not isinstance(instances, list) or not instances:
        raise InvalidInput("must be a list of at least one row", "instances")
    if not isinstance(instances[0], dict):
        _require_single(specs, "instances[0]")
        return {specs[0].name: ("instances", instances)}
    names = {spec.name for spec in specs}
    for position, row in enumerate(instances):
        if not isinstance(row, dict) or set(row) != names:
            raise InvalidInput(f"must be an object with exactly {sorted(names)}", f"instances[{position}]")
    return {name: (f"instances[*].{name}", [row[name] for row in instances]) for name in names}


def _named(columns: Any, specs: Sequence[TensorSpec], field: str) -> dict[str, tuple[str, Any]]:
    if not isinstance(columns, dict):
        _require_single(specs, field)
        return {specs[0].name: (field, columns)}
    names = {spec.name for spec in specs}
    if set(columns) != names:
        raise InvalidInput(f"must have exactly {sorted(names)}", field)
    return {name: (f"{field}.{name}", columns[name]) for name in names}


def _require_single(specs: Sequence[TensorSpec], field: str) -> None:
    if len(specs) > 1:
        raise InvalidInput(f"must be an object with {sorted(spec.name for spec in specs)}", field)

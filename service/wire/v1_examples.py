"""TensorFlow Serving's classify and regress: examples in, a class or a number of each out.

https://www.tensorflow.org/tfx/serving/api_rest
"""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, Literal

from models.classification import probabilities
from models.datatypes import Array
from models.errors import InvalidInput
from models.manifest import Manifest, TensorSpec
from service.wire import json_writer
from service.wire.json_arrays import to_json
from service.wire.json_object import parse_object, require_list, require_object
from service.wire.tensors import validate_tensor
from service.wire.v1_json import read_values, require_signature

Task = Literal["classify", "regress"]


def require_task(manifest: Manifest, task: Task) -> None:
    """Check that a model does this.

    Raises:
        InvalidInput: it has no rows; or no scores of several classes, or not one number, for each of them.
    """
    output = manifest.outputs[0]
    if task == "classify" and manifest.num_classes is None:
        raise InvalidInput(f"output '{output.name}' has no class scores: send the request to :predict", "model")
    if task == "regress" and not (manifest.is_batchable and prod(output.shape[1:]) == 1 and output.datatype != "BYTES"):
        raise InvalidInput(f"output '{output.name}' is not one number a row: send the request to :predict", "model")


def decode(body: bytes, inputs: Sequence[TensorSpec], task: Task, *, finite: bool = True) -> dict[str, Array]:
    """Decode and validate a request for a model with these inputs.

    `examples` is a list of objects with a feature, a value or a flat list of them, for each input. The features of
    `context` belong to every example.

    Args:
        body: the whole body.
        inputs: of the model, which has a batch axis.
        task: what is asked for.
        finite: whether NaN and infinities are refused.

    Raises:
        InvalidInput: anything about the request is wrong; the field says what.
    """
    request = parse_object(body)
    require_signature(request, f"tensorflow/serving/{task}")
    context = require_object(request.get("context", {}), "context")
    examples = require_list(request.get("examples"), "examples")
    if not examples:
        raise InvalidInput("got an empty list, expected at least one example", "examples")
    names = {spec.name for spec in inputs}
    rows = []
    for position, given in enumerate(examples):
        field = f"examples[{position}]"
        example = require_object(given, field)
        if both := sorted(set(example) & set(context)):
            raise InvalidInput(f"'{both[0]}' is in the context already", field)
        rows.append({**context, **example})
        if set(rows[-1]) != names:
            raise InvalidInput(f"got {sorted(rows[-1])}, expected exactly {sorted(names)}", field)
    return {spec.name: _column(rows, spec, finite=finite) for spec in inputs}


def encode(manifest: Manifest, outputs: Mapping[str, Array], task: Task) -> bytes:
    """Encode the response: for each example the label and probability of every class, or one number."""
    scores = outputs[manifest.outputs[0].name]
    if task == "regress":
        results = to_json(scores.reshape(-1))
    else:
        labels = manifest.labels or ("",) * scores.shape[1]
        results = [list(zip(labels, row, strict=True)) for row in probabilities(scores, manifest.scores).tolist()]
    return json_writer.dumps({"results": results})


def _column(rows: Sequence[Mapping[str, Any]], spec: TensorSpec, *, finite: bool) -> Array:
    field = f"examples[*].{spec.name}"
    features = [_as_list(row[spec.name]) for row in rows]
    array = read_values(features, spec.datatype, field, finite=finite)
    shape = (len(rows), *spec.shape[1:])
    if array.size == prod(shape):  # which it is not where an axis is free
        array = array.reshape(shape)
    validate_tensor(array.shape, spec.datatype, spec, field)
    return array


def _as_list(feature: Any) -> list[Any]:
    return feature if isinstance(feature, list) else [feature]

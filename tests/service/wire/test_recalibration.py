"""Requests for a re-calibration. The rest of their fields is tested over HTTP."""

from typing import Any

import numpy as np
import orjson
import pytest

from models.errors import InvalidInput
from service.wire.recalibration import decode
from tests.bundles import tiny_bundle

INPUTS, OUTPUTS = tiny_bundle().manifest.inputs, tiny_bundle().manifest.outputs
ROW = {"name": "input", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}
LABEL = {"name": "labels", "datatype": "INT64", "shape": [1], "data": [-1]}


def body(**members: Any) -> bytes:
    return orjson.dumps(members)


def test_a_number_of_rows_to_collect_has_defaults_beside_it() -> None:
    request = decode(body(collect=64), None, INPUTS, OUTPUTS)

    assert (request.rows, request.labels, request.collect) == (None, None, 64)
    assert (request.parameters.prior, request.parameters.timeout_seconds) == (None, 3600)
    assert not request.parameters.force


def test_labels_are_no_input_of_the_model() -> None:
    request = decode(body(inputs=[ROW, LABEL]), None, INPUTS, OUTPUTS)

    assert request.rows is not None
    assert list(request.rows) == ["input"]
    np.testing.assert_array_equal(request.labels, [-1])  # type: ignore[arg-type]


def test_an_input_of_the_model_called_labels_is_an_input() -> None:
    inputs = [spec.model_copy(update={"name": "labels"}) for spec in INPUTS]
    request = decode(body(inputs=[{**ROW, "name": "labels"}]), None, inputs, OUTPUTS)

    assert request.rows is not None
    assert list(request.rows) == ["labels"]
    assert request.labels is None


def test_a_misspelt_field_is_named_with_the_one_it_may_mean() -> None:
    with pytest.raises(InvalidInput, match="colect: unknown field, did you mean 'collect'"):
        decode(body(colect=64), None, INPUTS, OUTPUTS)
    with pytest.raises(InvalidInput, match="inputs: missing; give rows here, or"):
        decode(body(), None, INPUTS, OUTPUTS)


def test_a_misspelt_parameter_is_named_with_the_one_it_may_mean() -> None:
    with pytest.raises(InvalidInput, match=r"^parameters.priorr: unknown field, did you mean 'prior'\?"):
        decode(body(collect=64, parameters={"priorr": 8}), None, INPUTS, OUTPUTS)
    assert decode(body(collect=64, parameters={"prior": 8}), None, INPUTS, OUTPUTS).prior == 8


@pytest.mark.parametrize("rows", [{"collect": 64}, {"inputs": [ROW]}])
def test_a_parameter_outside_of_the_parameters_is_refused(rows: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=r"^prior: unknown field, expected in 'parameters'"):
        decode(body(**rows, prior=8), None, INPUTS, OUTPUTS)
    assert decode(body(**rows, id="mine"), None, INPUTS, OUTPUTS).prior is None


@pytest.mark.parametrize("value", ["NaN", "Infinity"])
def test_parameters_are_finite(value: str) -> None:
    for name in ("prior", "max_share", "timeout_seconds"):
        with pytest.raises(InvalidInput, match=rf"^parameters.{name}: got (nan|inf), expected"):
            decode(f'{{"collect": 64, "parameters": {{"{name}": {value}}}}}'.encode(), None, INPUTS, OUTPUTS)

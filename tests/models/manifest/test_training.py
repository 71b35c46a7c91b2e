"""How the weights were trained."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.manifest import LayerHistory, TrainingHistory, TrainingRecord

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(
    config=st.dictionaries(
        st.text(),
        st.none() | st.booleans() | st.integers() | FINITE | st.text(),
    ),
    metrics=st.dictionaries(st.text(), FINITE),
)
def test_a_training_record_keeps_values_and_types(config: dict[str, Any], metrics: dict[str, float]) -> None:
    record = TrainingRecord(config=config, metrics=metrics)

    again = TrainingRecord.model_validate_json(record.model_dump_json(exclude_none=True))

    assert again == record
    assert [type(value) for value in again.config.values()] == [type(value) for value in config.values()]


@pytest.mark.parametrize(
    ("field", "points"),
    [("gamma", ((1, 2),)), ("beta", ((1, 2), (1,))), ("gradient_norm", (1, 2, 3)), ("running_var", ())],
)
def test_a_history_has_one_value_for_each_step_and_percentile(field: str, points: tuple[Any, ...]) -> None:
    fields = dict.fromkeys(LayerHistory.model_fields, ((1, 2), (3, 4))) | {"gradient_norm": (1, 2)}
    TrainingHistory(steps=(1, 9), percentiles=(25, 75), layers={"norm": LayerHistory(**fields)})

    with pytest.raises(ValidationError, match=f"layer 'norm': {field} needs one value for each step and percentile"):
        TrainingHistory(steps=(1, 9), percentiles=(25, 75), layers={"norm": LayerHistory(**fields | {field: points})})

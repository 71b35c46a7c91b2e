"""Messages about data that pydantic refuses."""

from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from models.validation import describe, describe_unexpected, field_of


class Layer(BaseModel):
    """Data."""

    model_config = ConfigDict(extra="forbid")

    eps: float = Field(gt=0)
    name: str = "norm"

    @field_validator("name")
    @classmethod
    def _is_short(cls, value: str) -> str:
        if len(value) > 5:
            raise ValueError("the name is too long")
        return value


class Model(BaseModel):
    """Data with data inside."""

    model_config = ConfigDict(extra="forbid")

    layers: list[Layer]
    last: Layer | None = None


def problem_in(data: Any) -> Any:
    with pytest.raises(ValidationError) as caught:
        Model.model_validate(data)
    return caught.value.errors()[0]


@pytest.mark.parametrize(
    ("layer", "field", "message"),
    [
        ({"eps": 0}, "layers[0].eps", "got 0, expected greater than 0"),
        ({"eps": "x" * 99}, "layers[0].eps", f"got '{'x' * 59}..., expected a valid number"),
        ({}, "layers[0].eps", "missing"),
        ({"eps": 1, "epsilon": 1}, "layers[0].epsilon", "unknown field"),
        ({"eps": 1, "name": "normalisation"}, "layers[0].name", "the name is too long"),
    ],
)
def test_a_problem_is_named_with_what_was_got_and_expected(layer: Any, field: str, message: str) -> None:
    problem = problem_in({"layers": [layer]})

    assert field_of(problem) == field
    assert describe(problem).startswith(message)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"layer": []}, "unknown field, did you mean 'layers'?"),
        ({"layers": [{"eps": 1, "nam": "a"}]}, "unknown field, did you mean 'name'?"),
        ({"layers": [{"eps": 1, "x": "a"}]}, "unknown field, expected only ['eps', 'name']"),
        ({"layers": [], "last": {"epz": 1}}, "unknown field, did you mean 'eps'?"),
    ],
)
def test_an_unknown_field_is_told_the_one_it_may_mean(data: Any, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Model.model_validate(data)
    problem = next(each for each in caught.value.errors() if each["type"] == "extra_forbidden")

    assert describe(problem, model=Model) == describe(problem, model=Model | None) == message


def test_a_secret_value_is_not_repeated() -> None:
    problem = problem_in({"layers": [{"eps": "secret"}]})

    assert "secret" in describe(problem)
    assert "secret" not in describe(problem, with_value=False)


def test_an_argument_that_is_not_expected_is_named_with_what_was_meant() -> None:
    assert describe_unexpected(["False"]).startswith(
        "'False' is not expected: a switch has no value, --name turns it on"
    )
    assert describe_unexpected(["a", "b"]) == "'a', 'b' is not expected: --help shows the arguments"

"""Checks of a version before it is published."""

import json

import pytest
from pydantic import ValidationError

from models.manifest import Gate


class TestGate:
    @pytest.mark.parametrize(
        ("figure", "lower", "upper", "passed"),
        [
            (0.9, 0.9, 1.1, True),
            (1.1, 0.9, 1.1, True),
            (0.89, 0.9, 1.1, False),
            (1.2, None, 1.1, False),
            (-5.0, None, 1.1, True),
            (5.0, 0.9, None, True),
            (0.0, None, None, True),
            (None, None, None, False),
        ],
    )
    def test_it_is_passed_by_a_figure_within_its_bounds_and_says_so_in_json(
        self, figure: float | None, lower: float | None, upper: float | None, passed: bool
    ) -> None:
        gate = Gate(name="x", about="a figure", figure=figure, lower=lower, upper=upper)

        assert gate.passed is passed
        assert json.loads(gate.model_dump_json())["passed"] is passed
        assert Gate.model_validate_json(gate.model_dump_json()) == gate
        assert Gate.model_validate(gate.model_dump()) == gate

    def test_what_is_written_beside_the_figure_does_not_pass_it(self) -> None:
        assert not Gate.model_validate({"name": "x", "about": "", "figure": 0.0, "lower": 1.0, "passed": True}).passed
        with pytest.raises(ValidationError, match="Extra inputs"):
            Gate.model_validate({"name": "x", "about": "", "figure": 0.0, "colour": "red"})

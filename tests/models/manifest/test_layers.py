"""Watched layers and their placement."""

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from models.manifest import NormLayer, Placement
from tests.bundles import tiny_bundle

LAYER: dict[str, Any] = tiny_bundle().manifest.norm_layers[0].model_dump()


class TestNormLayer:
    @pytest.mark.parametrize("field", ["running_mean", "running_var", "gamma", "beta"])
    @pytest.mark.parametrize("values", [(), (1.0,), (1.0,) * 4])
    def test_there_is_one_number_per_channel(self, field: str, values: tuple[float, ...]) -> None:
        with pytest.raises(ValidationError, match=f"layer 'norm': {field} has {len(values)} values for 3 channels"):
            NormLayer(**{**LAYER, field: values})

    @pytest.mark.parametrize("field", ["running_mean", "running_var", "gamma", "beta"])
    @pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
    def test_a_number_that_is_not_finite_is_refused(self, field: str, number: float) -> None:
        with pytest.raises(ValidationError, match="finite number"):
            NormLayer(**{**LAYER, field: (1.0, number, 1.0)})

    def test_a_negative_variance_is_refused(self) -> None:
        with pytest.raises(ValidationError, match="layer 'norm': running_var has a negative value"):
            NormLayer(**{**LAYER, "running_var": (1.0, -1e-9, 1.0)})

    def test_a_channel_that_never_varied_is_taken(self) -> None:
        assert NormLayer(**{**LAYER, "running_var": (0.0, 1.0, 1.0)}).running_var[0] == 0

    @pytest.mark.parametrize("change", [{"eps": 0}, {"eps": -1e-5}, {"momentum": 1.1}, {"momentum": -0.1}])
    def test_eps_and_momentum_have_bounds(self, change: dict[str, float]) -> None:
        with pytest.raises(ValidationError, match=next(iter(change))):
            NormLayer(**{**LAYER, **change})

    def test_a_layer_without_channels_is_refused(self) -> None:
        empty = dict.fromkeys(("running_mean", "running_var", "gamma", "beta"), ())
        with pytest.raises(ValidationError, match="num_features"):
            NormLayer(**{**LAYER, **empty, "num_features": 0})


class TestPlacement:
    def test_a_kept_layer_has_a_reason_and_a_folded_one_has_none(self) -> None:
        Placement(kind="kept", reason="its input is used elsewhere", tensor="t")
        with pytest.raises(ValidationError, match="a kept layer needs a reason"):
            Placement(kind="kept", tensor="t")
        with pytest.raises(ValidationError, match="a folded one has none"):
            Placement(kind="folded_back", reason="because", tensor="t")

    @pytest.mark.parametrize("given", ["scale", "shift"])
    def test_scale_and_shift_come_together(self, given: str) -> None:
        with pytest.raises(ValidationError, match="come together"):
            Placement(kind="folded_forward", tensor="t", **{given: (1.0,)})

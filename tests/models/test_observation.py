"""What the observed graph tells of a layer, in z units: `models.observation`."""

import numpy as np
import pytest

from models.errors import InvalidInput
from models.manifest import NormLayer, Placement
from models.observation import ObservationReader, Units, mean_output, square_output

CHANNELS = 3


def layer(**changes: object) -> NormLayer:
    values: dict[str, object] = {
        "name": "norm",
        "num_features": CHANNELS,
        "running_mean": (0.0,) * CHANNELS,
        "running_var": (1.0,) * CHANNELS,
        "gamma": (2.0, -3.0, 0.5),
        "beta": (1.0, 0.0, -4.0),
        "eps": 1e-5,
        "momentum": 0.9,
        "placement": Placement(kind="folded_back", into=("conv",), tensor="y"),
    }
    return NormLayer.model_validate(values | changes)


def test_units_undo_the_layer_at_the_tensor_where_it_is_read() -> None:
    scale, shift = (2.0, 0.5, -1.0), (1.0, 2.0, 3.0)
    placement = Placement(kind="folded_forward", into=("fc",), tensor="t", scale=scale, shift=shift)
    one = layer(placement=placement)
    t = np.random.default_rng(0).normal(size=(6, CHANNELS))
    z = (np.array(scale) * t + shift - one.beta) / np.abs(one.gamma)

    rows = Units.of(one).read(t)
    np.testing.assert_allclose(rows.mean, z, rtol=1e-12)
    np.testing.assert_allclose(rows.mean_square, z**2, rtol=1e-12)
    assert not np.allclose(Units.of(layer()).read(t).mean, z)


def test_a_channel_that_is_all_but_switched_off_is_not_magnified() -> None:
    assert np.abs(Units.of(layer(gamma=(1.0, 1.0, 1e-9))).factor).max() == pytest.approx(1e3)
    assert np.isfinite(Units.of(layer(gamma=(0.0, 0.0, 0.0))).factor).all()


def test_a_layer_without_outputs_is_not_seen() -> None:
    assert ObservationReader([layer()], ["logits"]).read({"logits": np.zeros((2, 4))}) == {}
    rows = np.zeros((2, CHANNELS))
    reader = ObservationReader([layer()], [mean_output("norm"), square_output("norm")])
    with pytest.raises(InvalidInput, match="channels"):
        reader.read({mean_output("norm"): rows, square_output("norm"): rows[:, :1]})

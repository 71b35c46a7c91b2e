"""What the observed graph tells of a layer, in z units: `models.observation`."""

import numpy as np
import pytest

from models.errors import InvalidInput
from models.manifest import NormLayer, Placement
from models.observation import ObservationReader, Units, mean_output, square_output, variance_output

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


def test_each_layer_is_read_in_its_own_units_beside_the_others() -> None:
    random = np.random.default_rng(1)
    fields = ("running_mean", "running_var", "gamma")
    wide = layer(name="wide", num_features=4, beta=(0.5, 1.0, 2.0, -1.0), **dict.fromkeys(fields, (1.0,) * 4))
    layers = (layer(), wide, layer(name="last", beta=(7.0, 0.0, 1.0)))
    outputs = {
        mean_output("norm"): random.normal(size=(5, CHANNELS)).astype(np.float32),
        mean_output("wide"): random.normal(size=(5, 4, 1, 1)).astype(np.float32),
        square_output("wide"): random.uniform(2, 3, (5, 4, 1, 1)).astype(np.float32),
        mean_output("last"): random.normal(size=(5, CHANNELS, 1)).astype(np.float32),
        variance_output("last"): random.uniform(1, 2, (5, CHANNELS, 1)).astype(np.float32),
    }
    square = {
        "norm": None,
        "wide": outputs[square_output("wide")],
        "last": outputs[variance_output("last")] + np.square(outputs[mean_output("last")], dtype=np.float64),
    }

    found = ObservationReader(layers, outputs).read(outputs)

    assert list(found) == ["norm", "wide", "last"]
    assert found.joint.mean.shape == (5, CHANNELS + 4 + CHANNELS)
    for one in layers:
        alone = Units.of(one).read(outputs[mean_output(one.name)], square[one.name])
        np.testing.assert_allclose(found[one.name].mean, alone.mean, rtol=1e-12)
        np.testing.assert_allclose(found[one.name].mean_square, alone.mean_square, rtol=1e-12)
    assert not np.allclose(found["norm"].mean, found["last"].mean)
    np.testing.assert_array_equal(found.take(np.array([3, 1]))["wide"].mean, found["wide"].mean[[3, 1]])
    outputs[mean_output("last")] = outputs[mean_output("last")][:4]
    with pytest.raises(InvalidInput, match="expected 5 rows of 3 channels") as refused:
        ObservationReader(layers, outputs).read(outputs)
    assert refused.value.field == "last"

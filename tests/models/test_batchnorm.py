"""The transform and its statistics: `models.batchnorm`, against torch, Keras and ONNX in float64."""

from dataclasses import dataclass

import keras
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from models.batchnorm import normalize, scale_shift, statistics, update_running
from models.errors import InvalidInput

LAYERS = {2: torch.nn.BatchNorm1d, 3: torch.nn.BatchNorm1d, 4: torch.nn.BatchNorm2d, 5: torch.nn.BatchNorm3d}
"""Torch's layer for inputs of each rank."""

RANKS = pytest.mark.parametrize("rank", LAYERS)


@dataclass(frozen=True)
class Case:
    """An input and a layer's parameters and statistics, shape (C,) each."""

    x: np.ndarray
    gamma: np.ndarray
    beta: np.ndarray
    mean: np.ndarray
    var: np.ndarray
    eps: float = 1e-5
    momentum: float = 0.1

    @classmethod
    def random(cls, rank: int, seed: int = 0, offset: float = 0.0, dtype: type = np.float64) -> "Case":
        generator = np.random.default_rng(seed)
        num_features = 5
        shape = (4, num_features, 3, 2, 6)[:rank]
        arrays = (
            generator.normal(offset, 2, shape),
            generator.normal(size=num_features),
            generator.normal(size=num_features),
            generator.normal(offset, 1, num_features),
            generator.uniform(0.1, 3, num_features),
        )
        return cls(*(array.astype(dtype) for array in arrays))

    def torch_layer(self, *, train: bool) -> torch.nn.Module:
        """Torch's layer of the same state, in the precision of `x`."""
        dtype = torch.from_numpy(self.x).dtype
        layer = LAYERS[self.x.ndim](len(self.gamma), eps=self.eps, momentum=self.momentum, dtype=dtype)
        layer.load_state_dict(
            {
                "weight": torch.from_numpy(self.gamma),
                "bias": torch.from_numpy(self.beta),
                "running_mean": torch.from_numpy(self.mean),
                "running_var": torch.from_numpy(self.var),
                "num_batches_tracked": torch.tensor(0),
            }
        )
        return layer.train(train)

    def torch_output(self, *, train: bool) -> np.ndarray:
        with torch.no_grad():
            return self.torch_layer(train=train)(torch.from_numpy(self.x)).numpy()

    def by_the_batch(self) -> np.ndarray:
        batch = statistics(self.x)
        return normalize(self.x, batch.mean, batch.var, self.gamma, self.beta, self.eps)

    def by_running_statistics(self) -> np.ndarray:
        state = (np.float64(array) for array in (self.mean, self.var, self.gamma, self.beta))
        return normalize(self.x, *state, eps=self.eps)


def difference(expected: np.ndarray, actual: np.ndarray) -> float:
    """The largest, over the largest expected value where that is more than 1."""
    assert expected.shape == actual.shape
    return float(np.abs(expected - actual).max() / max(1.0, np.abs(expected).max()))


@RANKS
def test_in_eval_mode_torch_says_the_same(rank: int) -> None:
    case = Case.random(rank)

    assert difference(case.torch_output(train=False), case.by_running_statistics()) < 1e-12


@RANKS
def test_in_training_mode_torch_says_the_same(rank: int) -> None:
    case = Case.random(rank)

    assert difference(case.torch_output(train=True), case.by_the_batch()) < 1e-12


@RANKS
@pytest.mark.parametrize("train", [False, True], ids=["eval", "training"])
def test_in_float32_torch_says_nearly_the_same(rank: int, train: bool) -> None:
    case = Case.random(rank, dtype=np.float32)

    actual = case.by_the_batch() if train else case.by_running_statistics()

    assert difference(case.torch_output(train=train), actual) < 1e-6


@RANKS
def test_running_statistics_move_as_those_of_torch(rank: int) -> None:
    """Torch's momentum is the fraction replaced, and its running variance is unbiased."""
    case = Case.random(rank)
    layer = case.torch_layer(train=True)
    layer(torch.from_numpy(case.x))
    batch = statistics(case.x)

    mean = update_running(case.mean, batch.mean, 1 - case.momentum)
    var = update_running(case.var, batch.unbiased_var, 1 - case.momentum)

    assert difference(layer.running_mean.numpy(), mean) < 1e-12
    assert difference(layer.running_var.numpy(), var) < 1e-12


def largest_step(case: Case, mean: np.ndarray, var: np.ndarray) -> float:
    """The largest number that occurs on the way, of which every order of computing loses the last places."""
    inputs = np.abs(case.x).max() + np.abs(mean).max()
    largest = inputs * (np.abs(case.gamma) / np.sqrt(var + case.eps)).max() + np.abs(case.beta).max()
    return max(float(largest), 1e-290)  # smaller ones have fewer places to lose


@given(data=st.data(), shape=hnp.array_shapes(min_dims=2, max_dims=5, min_side=2, max_side=3))
def test_for_any_input_torch_says_the_same(data: st.DataObject, shape: tuple[int, ...]) -> None:
    finite = st.floats(-1e3, 1e3)
    x = data.draw(hnp.arrays(np.float64, shape, elements=finite))
    gamma, beta, mean = (data.draw(hnp.arrays(np.float64, shape[1], elements=finite)) for _ in range(3))
    var = data.draw(hnp.arrays(np.float64, shape[1], elements=st.floats(0, 1e3)))
    case = Case(x, gamma, beta, mean, var, eps=data.draw(st.sampled_from([1e-5, 1e-3, 0.1])))
    batch = statistics(x)

    running_error = np.abs(case.torch_output(train=False) - case.by_running_statistics()).max()
    batch_error = np.abs(case.torch_output(train=True) - case.by_the_batch()).max()

    assert running_error <= 1e-14 * largest_step(case, mean, var)
    assert batch_error <= 1e-14 * largest_step(case, batch.mean, batch.var)


@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1, -2])
def test_the_channels_may_be_on_any_axis(axis: int) -> None:
    case = Case.random(4)
    moved = np.moveaxis(case.x, 1, axis)
    batch = statistics(moved, axis)

    actual = normalize(moved, batch.mean, batch.var, case.gamma, case.beta, case.eps, axis)

    assert difference(np.moveaxis(case.by_the_batch(), 1, axis), actual) < 1e-14


def test_without_gamma_and_beta_the_result_has_mean_0_and_variance_1() -> None:
    case = Case.random(4)
    batch = statistics(case.x)

    after = statistics(normalize(case.x, batch.mean, batch.var, eps=0))

    assert np.abs(after.mean).max() < 1e-14
    assert np.abs(after.var - 1).max() < 1e-14


def test_scale_and_shift_are_the_same_map() -> None:
    case = Case.random(2)

    scale, shift = scale_shift(case.gamma, case.beta, case.mean, case.var, case.eps)

    assert difference(case.by_running_statistics(), scale * case.x + shift) < 1e-14


@pytest.mark.parametrize("offset", [1e4, -1e6, 1e8])
def test_inputs_far_from_zero_keep_their_digits(offset: float) -> None:
    """All that may be lost is what the mean loses by being a float64. The affine map loses more."""
    case = Case.random(4, offset=offset)
    exact = np.longdouble(case.x)
    mean = exact.mean(axis=(0, 2, 3), keepdims=True)
    std = np.sqrt(np.square(exact - mean).mean(axis=(0, 2, 3), keepdims=True) + np.longdouble(case.eps))
    expected = (exact - mean) / std
    batch = statistics(case.x)
    lost = np.finfo(np.float64).eps * abs(offset)

    assert difference(expected, normalize(case.x, batch.mean, batch.var, eps=case.eps)) < lost

    naive_var = np.square(np.float32(case.x)).mean(axis=(0, 2, 3)) - np.square(np.float32(batch.mean))
    assert np.abs(naive_var - batch.var).max() > 1e3 * lost, "the negative control must fail"


def test_keras_says_the_same() -> None:
    """Channels last, momentum the fraction kept, and a running variance that is biased."""
    case = Case.random(4)
    x = np.moveaxis(case.x, 1, -1)
    layer = keras.layers.BatchNormalization(momentum=0.8, epsilon=1e-3, dtype="float64")  # computes parts in float32
    layer.build(x.shape)
    layer.set_weights([case.gamma, case.beta, case.mean, case.var])
    batch = statistics(x, axis=-1)

    inference = layer(x, training=False).detach().numpy()
    training = layer(x, training=True).detach().numpy()
    running_mean, running_var = (state.value.detach().numpy() for state in (layer.moving_mean, layer.moving_variance))

    affine = {"gamma": case.gamma, "beta": case.beta, "eps": 1e-3, "axis": -1}
    assert difference(inference, normalize(x, case.mean, case.var, **affine)) < 1e-6
    assert difference(training, normalize(x, batch.mean, batch.var, **affine)) < 1e-6
    assert difference(running_mean, update_running(case.mean, batch.mean, 0.8)) < 1e-6
    assert difference(running_var, update_running(case.var, batch.var, 0.8)) < 1e-6
    assert difference(running_var, update_running(case.var, batch.unbiased_var, 0.8)) > 1e-3


def test_onnx_says_the_same() -> None:
    """Momentum is the fraction kept, and the running variance biased."""
    case = Case.random(4)
    names = ["x", "gamma", "beta", "mean", "var"]
    outputs = ["y", "running_mean", "running_var"]
    node = helper.make_node("BatchNormalization", names, outputs, epsilon=1e-3, momentum=0.8, training_mode=1)
    graph = helper.make_graph(
        [node],
        "training",
        [helper.make_tensor_value_info(name, TensorProto.DOUBLE, None) for name in names],
        [helper.make_tensor_value_info(name, TensorProto.DOUBLE, None) for name in outputs],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)])
    batch = statistics(case.x)

    y, mean, var = ReferenceEvaluator(model).run(None, {name: getattr(case, name) for name in names})

    assert difference(y, normalize(case.x, batch.mean, batch.var, case.gamma, case.beta, 1e-3)) < 1e-7  # eps is float32
    assert difference(mean, update_running(case.mean, batch.mean, 0.8)) < 1e-7
    assert difference(var, update_running(case.var, batch.var, 0.8)) < 1e-7


class TestNegativeControls:
    """What a wrong convention would do is far outside of the tolerances above."""

    @RANKS
    def test_normalising_by_the_unbiased_variance_is_told_apart(self, rank: int) -> None:
        case = Case.random(rank)
        batch = statistics(case.x)

        wrong = normalize(case.x, batch.mean, batch.unbiased_var, case.gamma, case.beta, case.eps)

        assert difference(case.torch_output(train=True), wrong) > 1e-4

    @RANKS
    def test_storing_the_biased_variance_is_told_apart(self, rank: int) -> None:
        case = Case.random(rank)
        layer = case.torch_layer(train=True)
        layer(torch.from_numpy(case.x))

        wrong = update_running(case.var, statistics(case.x).var, 1 - case.momentum)

        assert difference(layer.running_var.numpy(), wrong) > 1e-4

    def test_a_forgotten_eps_is_told_apart(self) -> None:
        case = Case.random(4)

        wrong = normalize(case.x, case.mean, case.var, case.gamma, case.beta, eps=0)

        assert difference(case.torch_output(train=False), wrong) > 1e-6

    def test_eps_outside_of_the_root_is_told_apart(self) -> None:
        case = Case.random(2)
        shape = (1, -1)

        wrong = (case.x - case.mean) / (np.sqrt(case.var) + case.eps).reshape(shape) * case.gamma + case.beta

        assert difference(case.torch_output(train=False), wrong) > 1e-6

    def test_the_other_meaning_of_momentum_is_told_apart(self) -> None:
        case = Case.random(4)
        layer = case.torch_layer(train=True)
        layer(torch.from_numpy(case.x))

        wrong = update_running(case.mean, statistics(case.x).mean, case.momentum)

        assert difference(layer.running_mean.numpy(), wrong) > 1e-2


@pytest.mark.parametrize("shape", [(1, 3), (0, 3), (1, 3, 1, 1)])
def test_a_batch_of_less_than_two_values_per_channel_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInput, match="at least 2 values per channel"):
        statistics(np.zeros(shape))


def test_one_row_of_an_image_is_many_values() -> None:
    assert statistics(np.zeros((1, 3, 4, 5))).count == 20


def test_the_input_is_left_as_it_was() -> None:
    case = Case.random(4)
    before = case.x.copy()

    case.by_the_batch()
    case.by_running_statistics()

    assert (case.x == before).all()

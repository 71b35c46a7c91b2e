"""Mergeable moments: `models.moments.channel`, against numpy's two passes in float64."""

from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from models.errors import InvalidInput
from models.moments.channel import Moments

values = hnp.arrays(
    np.float64,
    st.tuples(st.integers(1, 40), st.integers(1, 4)),
    elements=st.floats(-1e6, 1e6, allow_subnormal=False),
)


def assert_moments_of(actual: Moments, array: np.ndarray) -> None:
    """Equal up to the rounding that numbers of this size allow."""
    largest = np.abs(array).max(initial=0.0)
    assert actual.count == len(array)
    np.testing.assert_allclose(actual.mean, array.mean(axis=0), rtol=1e-12, atol=1e-14 * largest)
    np.testing.assert_allclose(actual.var, array.var(axis=0), rtol=1e-10, atol=1e-14 * largest**2)


def merge_in_random_order(parts: list[Moments], generator: np.random.Generator) -> Moments:
    parts = list(parts)
    while len(parts) > 1:
        one = parts.pop(generator.integers(len(parts)))
        other = parts.pop(generator.integers(len(parts)))
        parts.append(one.merge(other))
    return parts[0]


@given(array=values)
def test_moments_are_those_of_numpy(array: np.ndarray) -> None:
    assert_moments_of(Moments.of(array), array)


@given(array=values, data=st.data())
def test_neither_the_splitting_nor_the_order_of_merging_changes_anything(
    array: np.ndarray, data: st.DataObject
) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(array)), max_size=10).map(sorted))
    generator = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    parts = [Moments.of(part) for part in np.split(array, cuts)]

    assert_moments_of(merge_in_random_order(parts, generator), array)


@given(one=values, other=values)
def test_merging_is_commutative(one: np.ndarray, other: np.ndarray) -> None:
    a, b = Moments.of(one[:, :1]), Moments.of(other[:, :1])
    together = np.concatenate([one[:, :1], other[:, :1]])

    assert_moments_of(a.merge(b), together)
    assert_moments_of(b.merge(a), together)


@given(array=values)
def test_nothing_seen_is_neutral_to_the_bit(array: np.ndarray) -> None:
    seen, nothing = Moments.of(array), Moments.empty(array.shape[1])

    for merged in (seen.merge(nothing), nothing.merge(seen)):
        assert merged.count == seen.count
        assert (merged.mean == seen.mean).all()
        assert (merged.m2 == seen.m2).all()


def test_nothing_and_nothing_is_nothing() -> None:
    merged = Moments.empty(3).merge(Moments.of(np.empty((0, 3))))

    assert merged.count == 0
    assert (merged.mean == 0).all()
    assert (merged.m2 == 0).all()


@pytest.mark.parametrize("offset", [1e6, -1e8, 1e10])
def test_a_large_offset_costs_no_precision(offset: float) -> None:
    """The error grows with the offset; that of the textbook formula, mean square less squared mean, with its square."""
    noise = np.random.default_rng(0).normal(size=(3000, 2))
    array = noise + offset
    batches = [Moments.of(batch) for batch in np.array_split(array, 100)]
    naive = np.square(array).mean(axis=0) - np.square(array.mean(axis=0))

    merged = reduce(Moments.merge, batches)

    np.testing.assert_allclose(merged.var, array.var(axis=0), rtol=np.finfo(np.float64).eps * abs(offset))
    if abs(offset) >= 1e8:
        assert not np.allclose(naive, array.var(axis=0), rtol=0.1), "the negative control must fail"


def test_many_small_batches_far_from_zero_do_not_drift() -> None:
    array = np.random.default_rng(1).normal(size=(20_000, 1)) * 1e-3 + 1e5

    merged = reduce(Moments.merge, (Moments.of(row[None]) for row in array))

    np.testing.assert_allclose(merged.var, array.var(axis=0), rtol=1e-6)


def test_float32_values_are_summed_in_float64() -> None:
    array = np.random.default_rng(0).normal(1000, 1, size=(100_000, 1)).astype(np.float32)

    np.testing.assert_allclose(Moments.of(array).var, array.astype(np.float64).var(axis=0), rtol=1e-12)


def test_one_value_has_no_variance() -> None:
    assert (Moments.of([[1.0, 2.0]]).var == 0).all()


def test_the_variance_of_nothing_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no values seen"):
        _ = Moments.empty(2).var


@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 4)])
def test_another_shape_than_values_by_channels_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInput, match=r"\(values, channels\)"):
        Moments.of(np.zeros(shape))


def test_moments_of_other_channels_are_refused() -> None:
    """One channel would silently be taken for all of them."""
    with pytest.raises(InvalidInput, match="3 channels do not merge with 1"):
        Moments.of(np.ones((2, 3))).merge(Moments.of(np.ones((2, 1))))

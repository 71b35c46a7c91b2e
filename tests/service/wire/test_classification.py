"""The best classes of any scores."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from service.wire.classification import best


@given(
    scores=arrays(np.float32, array_shapes(min_dims=1, max_dims=3, max_side=4), elements=st.floats(-9, 9, width=32)),
    count=st.integers(1, 5),
)
def test_any_scores_are_ranked(scores: np.ndarray, count: int) -> None:
    for row, texts in zip(scores, best(scores, count, None), strict=True):
        flat = np.atleast_1d(row).reshape(-1)
        positions = [int(text.split(":")[1]) for text in texts]
        assert positions == sorted(range(flat.size), key=lambda index: -flat[index])[:count]


def test_no_rows_have_no_classes() -> None:
    assert best(np.zeros((0, 3)), 2, None).shape == (0, 2)

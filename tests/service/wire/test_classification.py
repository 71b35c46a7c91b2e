"""The best classes of any scores."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from models.errors import InvalidInput
from service.wire import grpc_response, v2_response
from service.wire.classification import MAX_TEXTS, best
from service.wire.v2_request import InferRequest, RequestedOutput


@given(
    scores=arrays(np.float32, array_shapes(min_dims=1, max_dims=3, max_side=4), elements=st.floats(-9, 9, width=32)),
    count=st.integers(1, 5),
)
def test_any_scores_are_ranked(scores: np.ndarray, count: int) -> None:
    for row, texts in zip(scores, best(scores, count, None, "field"), strict=True):
        flat = np.atleast_1d(row).reshape(-1)
        positions = [int(text.split(":")[1]) for text in texts]
        assert positions == sorted(range(flat.size), key=lambda index: -flat[index])[:count]


def test_no_rows_have_no_classes() -> None:
    assert best(np.zeros((0, 3)), 2, None, "field").shape == (0, 2)


@pytest.mark.parametrize("encode", [v2_response.encode, grpc_response.encode])
@pytest.mark.parametrize("batched", [True, False])
def test_only_so_many_classes_are_written(encode: Callable[..., Any], batched: bool) -> None:
    outputs = {"other": np.zeros((4, 1), np.float32), "scores": np.zeros((4, MAX_TEXTS // 4 + 1), np.float32)}
    few = InferRequest({}, (RequestedOutput("other"), RequestedOutput("scores", classes=3)))
    many = InferRequest({}, (RequestedOutput("other"), RequestedOutput("scores", classes=2**31)))

    assert encode("m", 1, few, outputs, batched=batched)
    with pytest.raises(InvalidInput, match=r"^outputs\[1\]\.parameters\.classification: got .* at most 262144 texts"):
        encode("m", 1, many, outputs, batched=batched)


def test_all_classes_of_many_rows_are_written() -> None:
    assert best(np.zeros((262, 1000), np.float32), 1000, None, "field").shape == (262, 1000)

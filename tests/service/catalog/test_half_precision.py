"""The process that converts graphs to half precision."""

import sys

import numpy as np
import pytest

from models.errors import GraphError
from models.runtime.load import load
from service.catalog.half_precision import to_half
from tests.bundles import tiny_bundle


def test_a_graph_comes_back_in_half_precision() -> None:
    bundle = tiny_bundle()
    rows = {"input": np.random.default_rng(1).normal(size=(8, 4)).astype(np.float32)}

    half = load(to_half(bundle.folded), optimize=True)(rows)["logits"]

    exact = load(bundle.folded, optimize=True)(rows)["logits"]
    np.testing.assert_allclose(half, exact, atol=1e-2)
    assert not np.allclose(half, exact, rtol=0, atol=1e-6)


def test_the_reason_why_not_is_told() -> None:
    with pytest.raises(GraphError, match="it was not converted to half precision: not an ONNX file"):
        to_half(b"\xff")


@pytest.mark.parametrize(
    ("program", "how"), [("raise SystemExit(3)", "with exit code 3"), ("import os; os.abort()", "by SIGABRT")]
)
def test_a_process_that_ends_is_an_error(program: str, how: str) -> None:
    with pytest.raises(GraphError, match=f"the process ended {how}"):
        to_half(b"", (sys.executable, "-c", program))


def test_a_process_that_cannot_be_started_is_an_error() -> None:
    with pytest.raises(GraphError, match="it was not converted to half precision: No such file or directory"):
        to_half(b"", ("/no/such/program",))

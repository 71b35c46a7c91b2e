"""A graph as a function."""

import numpy as np
import pytest
from ml_dtypes import bfloat16

from models.errors import GraphError
from models.runtime.load import load
from tests.bundles import INPUT, OUTPUT, echo_bundle, tiny_bundle

ROWS = np.random.default_rng(7).normal(size=(5, 4)).astype(np.float32)


@pytest.mark.parametrize("optimize", [False, True])
def test_bfloat16_goes_in_and_comes_out(optimize: bool) -> None:
    x = ROWS[:, :2].astype(bfloat16)

    got = load(echo_bundle("BF16").folded, optimize=optimize)({INPUT: x})[OUTPUT]

    assert got.dtype == bfloat16
    assert got.tobytes() == x.tobytes()


def test_source_and_folded_graph_are_the_same_function() -> None:
    bundle = tiny_bundle()
    source, folded = (load(graph, optimize=True)({INPUT: ROWS})[OUTPUT] for graph in (bundle.source, bundle.folded))

    np.testing.assert_allclose(source, folded, rtol=1e-5, atol=1e-6)
    other = load(tiny_bundle(seed=1).folded, optimize=True)({INPUT: ROWS})[OUTPUT]
    assert np.abs(other - folded).max() > 0.1


def test_what_onnxruntime_cannot_load_or_run_is_an_error() -> None:
    with pytest.raises(GraphError, match="cannot load the graph"):
        load(b"\x08\x09", optimize=False)
    with pytest.raises(GraphError, match=r"cannot run the graph on inputs of shapes \{'input': \[5, 3\]\}"):
        load(tiny_bundle().folded, optimize=False)({INPUT: ROWS[:, :3]})

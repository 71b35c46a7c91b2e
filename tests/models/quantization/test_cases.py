"""Every graph of the fold tests in 8 bits, with ranges from rows and from batch normalisation alone."""

import numpy as np
import pytest

from models.errors import GraphError
from models.graph.adapt import restate
from models.graph.fold import fold
from models.graph.load import serialize
from models.quantization.expected import expect
from models.quantization.measured import measure
from models.quantization.qdq import quantize_graph
from models.recalibration.adaptation import AdaptiveNetwork
from models.runtime.load import load
from tests.models.graph.cases import CASES, Case
from tests.models.graph.oracle import feeds

TOLERANCE = 0.1
"""Of the root mean square of the difference, relative to the standard deviation of the output."""


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_little_is_lost_whatever_the_graph(case: Case) -> None:
    source = case.model(np.float32)
    rows = {name: values.astype(np.float32) for name, values in feeds(source, 64).items()}
    made = fold(restate(source, AdaptiveNetwork(source).run(rows, 0.0).mixed))
    exact = load(serialize(made.model), optimize=False)(rows)
    refused = []
    for statistics in (measure(made.model, rows), expect(made.model, made.norm_layers)):
        try:
            quantized = quantize_graph(made.model, statistics)
        except GraphError as error:
            refused.append(str(error))
            continue
        for optimize in (False, True):
            found = load(serialize(quantized.model), optimize=optimize)(rows)
            for name, expected in exact.items():
                if expected.std() > 1e-3:
                    assert np.sqrt(np.square(found[name] - expected).mean()) < TOLERANCE * expected.std()
    assert all("no layer of the graph can compute in 8 bits" in reason for reason in refused)

"""Whether a graph's first axis is the batch, found by running it."""

import re

import pytest

from models.manifest import TensorSpec
from models.parity.probe import Probe, probe
from models.runtime.specs import specs
from tests.bundles import text_bundle


def found(graph: str) -> Probe:
    data = text_bundle("any", graph).source
    return probe(data, *specs(data))


@pytest.mark.parametrize(
    "graph",
    [
        "(float[N, 4] x) => (float[N, 4] y) { y = Softmax(x) }",
        "(int64[N, 4] x, string[N, 2] t) => (int64[N, 4] y, string[N, 2] u) { y = Neg(x) u = Identity(t) }",
        "(float[N, T] x) => (float[N, T] y) { y = Relu(x) }",
    ],
)
def test_rows_that_do_not_depend_on_each_other_are_a_batch(graph: str) -> None:
    assert found(graph).batch_problem is None


@pytest.mark.parametrize(
    ("graph", "problem"),
    [
        ("(float[2, 4] x) => (float[2, 4] y) { y = Relu(x) }", r"first axis of 'x' of shape \[2, 4\] is not of free"),
        ("(float x) => (float y) { y = Relu(x) }", r"first axis of 'x' of shape \[\] is not of free size"),
        ("(float[N, 4] x) => (float[N, 4] y) { y = Softmax <axis = 0> (x) }", "depend on the other rows"),
        ("(float[N, 4] x) => (float[M, 4] y) { y = Concat <axis = 0> (x, x) }", "'y' has 2 rows for 1 rows"),
        (
            "(float[N, 4] x, float[M] w) => (float[N, 4] y) { y = Mul(x, w) }",
            "cannot be run on random inputs .*so it is not known",
        ),
    ],
)
def test_others_are_not_and_the_reason_is_said(graph: str, problem: str) -> None:
    reason = found(graph).batch_problem
    assert reason is not None
    assert re.search(problem, reason)


@pytest.mark.parametrize("operator", ["Log", "Sqrt", "Acos"])
def test_a_graph_that_takes_no_negative_numbers_runs_on_numbers_from_0_to_1(operator: str) -> None:
    probed = found(f"(float[N, 4] x) => (float[N, 4] y) {{ y = {operator}(x) }}")

    assert (probed.positive, probed.run_problem, probed.batch_problem) == (True, None, None)


def test_rows_that_depend_on_each_other_are_found_on_numbers_from_0_to_1_too() -> None:
    probed = found("(float[N, 4] x) => (float[N, 4] y) { z = Log(x) y = Softmax <axis = 0> (z) }")

    assert probed.positive
    assert probed.batch_problem is not None
    assert "depend on the other rows" in probed.batch_problem


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("z = Sub(x, x) y = Div(z, z)", "its outputs for random inputs are not finite"),
        (
            "r = RandomNormalLike(x) y = Add(x, r)",
            "its outputs for the same inputs differ from run to run (RandomNormalLike)",
        ),
    ],
)
def test_outputs_that_cannot_be_compared_are_a_problem(body: str, problem: str) -> None:
    probed = found(f"(float[N, 4] x) => (float[N, 4] y) {{ {body} }}")

    assert not probed.positive
    assert probed.run_problem == problem
    assert probed.batch_problem == f"{problem}, so it is not known whether rows depend on each other"


def test_a_shape_that_is_not_stated_or_not_kept_is_measured() -> None:
    data = text_bundle("any", "(float[N, 4] x) => (float y) { y = Relu(x) }").source

    measured = probe(data, *specs(data))

    assert measured.outputs == (TensorSpec(name="y", datatype="FP32", shape=(-1, -1)),)

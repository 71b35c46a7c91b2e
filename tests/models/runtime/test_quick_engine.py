"""A graph that is opened quickly gives the usual answers, before and after the rest is done."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models import starter
from models.errors import GraphError
from models.repository.bundle import Bundle
from models.repository.repository import Repository
from models.runtime.engine import Engine
from models.runtime.quick_engine import QuickEngine
from models.runtime.rewriting import rewrite
from models.runtime.session import open_session
from models.runtime.shared_graph import SharedGraph

FULL: Any = "full"
ROWS = {"input": np.random.default_rng(0).random((5, 1, 28, 28)).astype(np.float32)}


@pytest.fixture
def bundle() -> Bundle:
    return Repository(Path(starter.__file__).parent).read("convnet", 1)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each session, whether weights are laid out for the processor. There is no memory for more where it is full."""
    found: list[bool] = []

    def open_one(*given: Any, lay_out: bool, **options: Any) -> Any:
        if FULL in found:
            raise GraphError("no memory")
        found.append(lay_out)
        return open_session(*given, lay_out=lay_out, **options)

    monkeypatch.setattr("models.runtime.engine.open_session", open_one)
    return found


@pytest.fixture
def quick(bundle: Bundle) -> QuickEngine:
    return QuickEngine(bundle.folded, bundle.manifest.inputs)


@pytest.fixture
def usual(bundle: Bundle) -> Engine:
    return Engine(bundle.folded, bundle.manifest.inputs)


def assert_same(one: Engine, other: Engine) -> None:
    expected = other.run(ROWS)
    for name, array in one.run(ROWS).items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-5, atol=1e-5)  # kernels add up in other orders
        assert np.abs(array).max() > 0.1


def test_its_answers_are_the_usual_ones_before_and_after(quick: QuickEngine, usual: Engine) -> None:
    assert_same(quick, usual)
    quick.optimize()
    assert_same(quick, usual)


def test_no_requests_share_a_run_before_it_is_known_that_they_may(quick: QuickEngine) -> None:
    assert not quick.is_row_wise
    quick.optimize()
    assert quick.is_row_wise


def test_how_long_a_run_takes_is_known_from_the_first_one(quick: QuickEngine) -> None:
    assert 0 < quick.expected_seconds(1) < quick.expected_seconds(2) < 60


def test_the_rest_is_done_once(opened: list[bool], quick: QuickEngine) -> None:
    quick.optimize()
    quick.optimize()

    assert opened == [False, True]


def test_where_the_rest_fails_the_answers_stay(opened: list[bool], quick: QuickEngine, usual: Engine) -> None:
    opened.append(FULL)

    with pytest.raises(GraphError, match="no memory"):
        quick.optimize()

    assert_same(quick, usual)
    assert not quick.is_row_wise


def test_a_graph_with_shared_weights_comes_after_the_rest(
    opened: list[bool], quick: QuickEngine, usual: Engine, bundle: Bundle
) -> None:
    """Otherwise the rest would replace the shared weights by its own."""
    opened.clear()
    quick.replace_graph(SharedGraph.of(rewrite(bundle.folded), {}))
    quick.optimize()

    assert len(opened) == 2
    assert quick.is_row_wise
    assert_same(quick, usual)

"""A twin runs on whole blocks of rows, in the order in which they came."""

import numpy as np
import pytest

from models.accuracy.agreement import NO_ROWS, Agreement
from service.watching.twins.twin import Twin
from tests.bundles import INPUT
from tests.service.watching.doubles import ESTIMATOR


class Runs:
    """Answers with the rows themselves, and remembers them."""

    def __init__(self) -> None:
        self.blocks: list[np.ndarray] = []

    def __call__(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        self.blocks.append(inputs[INPUT])
        return inputs[INPUT]


@pytest.fixture
def runs() -> Runs:
    return Runs()


@pytest.fixture
def twin(runs: Runs) -> Twin:
    return Twin(ESTIMATOR, runs, "logits")


def rows(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)


def test_it_runs_when_a_block_is_full(twin: Twin, runs: Runs) -> None:
    first, second, scores = rows(5), rows(5, seed=1), rows(10, seed=2)

    assert twin.add({INPUT: first}, scores[:5]) == NO_ROWS
    found = twin.add({INPUT: second}, scores[5:])

    block = np.concatenate([first, second])[:8]
    np.testing.assert_array_equal(runs.blocks, [block])
    assert found.rows == 8
    assert found.agreed == np.sum(block.argmax(axis=1) == scores[:8].argmax(axis=1))
    assert twin.add({INPUT: first}, scores[:5]) == NO_ROWS


def test_rows_without_finite_scores_are_left_out(twin: Twin, runs: Runs) -> None:
    scores = rows(9)
    scores[3] = np.nan

    assert twin.add({INPUT: scores}, scores).rows == 8
    assert np.isfinite(runs.blocks[0]).all()


def test_a_block_on_which_the_twin_overflows_tells_nothing(twin: Twin) -> None:
    overflowing = rows(8)
    overflowing[0] = np.inf

    assert twin.add({INPUT: overflowing}, rows(8)) == NO_ROWS
    assert isinstance(twin.add({INPUT: rows(8)}, rows(8)), Agreement)

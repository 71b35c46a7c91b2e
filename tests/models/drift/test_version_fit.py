"""How well rows fit the version that has answered them, and when they have ended: `models.drift.version_fit`."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.drift.version_fit import VersionFit, evidence_of_end
from tests.domains import DOWN, PARENT_BUNDLE, UP, domain_bundle, observe, rows_of


def own_evidence(rows: np.ndarray) -> float:
    """That rows are of UP, as they are observed in it."""
    found = fit(UP)
    return found.evidence(found.restate_for_parent(observe(UP, rows)))


def fit(version: int) -> VersionFit:
    return VersionFit(domain_bundle(PARENT_BUNDLE).manifest, domain_bundle(version).manifest)


def test_the_evidence_of_rows_is_the_sum_of_their_scores_with_1_at_most() -> None:
    """The rows are between the two, and are observed in the version; the oracle's are observed in the parent."""
    begin, end = rows_of(PARENT_BUNDLE, 1), rows_of(UP, 1)
    coarse = begin + (end - begin) * np.linspace(0, 1, 2001, dtype=np.float32)[:, None]
    change = int(np.argmax(fit(UP).scores(observe(PARENT_BUNDLE, coarse)) > 0))
    rows = np.linspace(coarse[change - 6], coarse[change + 3], 200, dtype=np.float32)
    scores = fit(UP).scores(observe(PARENT_BUNDLE, rows))
    assert 20 < np.sum(np.abs(scores) < 1) < 180

    found = own_evidence(rows)

    assert found == pytest.approx(np.clip(scores, -1, 1).sum(), abs=1)
    assert found != pytest.approx(scores.sum(), abs=10)
    assert found != pytest.approx(np.clip(fit(DOWN).scores(observe(PARENT_BUNDLE, rows)), -1, 1).sum(), abs=10)


def test_its_sign_says_whose_rows_they_are() -> None:
    assert own_evidence(rows_of(UP, 16)) == 16
    assert own_evidence(rows_of(PARENT_BUNDLE, 16)) == -16


def test_the_evidence_is_the_same_whichever_version_has_observed_the_rows() -> None:
    """That of the shadow follows from what the version that answers has observed, the parent or another one."""
    rows, down = rows_of(UP, 16), fit(DOWN)
    expected = fit(UP).evidence(observe(PARENT_BUNDLE, rows))

    assert own_evidence(rows) == pytest.approx(expected, abs=1e-3)
    assert fit(UP).evidence(down.restate_for_parent(observe(DOWN, rows))) == pytest.approx(expected, abs=1e-3)
    assert fit(UP).evidence(observe(DOWN, rows)) != pytest.approx(expected, abs=1)  # in the units of the wrong version


@pytest.mark.parametrize("wild", [1e6, -1e6, 1e30])
def test_one_row_that_is_far_from_both_counts_as_one(wild: float) -> None:
    rows = np.concatenate([rows_of(UP, 16), np.full((1, 4), wild, np.float32)])

    assert own_evidence(rows) in {15, 16, 17}


@given(st.lists(st.floats(-50, 50), max_size=12))
def test_the_end_shows_in_the_largest_sum_of_the_last_rows(evidence: list[float]) -> None:
    expected = max([0.0, *(-sum(evidence[begin:]) for begin in range(len(evidence)))])

    assert evidence_of_end(evidence) == pytest.approx(expected, abs=1e-9)


def test_what_came_last_decides() -> None:
    own, parents = [1000.0], [-20.0, -5.0]

    assert evidence_of_end(own + parents) == 25
    assert evidence_of_end(parents + own) == 0
    assert evidence_of_end([]) == 0

"""Requests are remembered up to a number of rows, the latest with an id."""

from dataclasses import replace

import numpy as np

from service.catalog.served_version import ServedVersion
from service.watching.labels.answered_requests import MAX_ID_CHARACTERS, AnsweredRequests
from tests.service.watching.doubles import Clock


def outputs(served: ServedVersion, *classes: int) -> dict[str, np.ndarray]:
    return {served.manifest.outputs[0].name: np.eye(2, dtype=np.float32)[list(classes)]}


def test_what_was_predicted_is_found_by_the_id(served: ServedVersion, clock: Clock) -> None:
    answered = AnsweredRequests(10, clock)
    answered.add("a", served, outputs(served, 1, 0))
    began, clock.now = clock.now, clock.now + 5
    answered.add("", served, outputs(served, 1))
    answered.add("a", replace(served, version=2), outputs(served, 1))

    found = answered.find("tiny", "a")

    assert found is not None
    assert (found.versions.tolist(), found.at - began, found.classes.tolist()) == ([2], 5, [1])
    assert not found.is_labelled
    assert answered.find("tiny", "") is answered.find("other", "a") is answered.find("tiny", "b") is None


def test_rows_of_several_versions_are_told_apart(served: ServedVersion, clock: Clock) -> None:
    answered = AnsweredRequests(10, clock)
    answered.add("a", served, outputs(served, 1, 0, 1), np.array([1, 2, 1]))

    found = answered.find("tiny", "a")

    assert found is not None
    assert (found.versions.tolist(), found.classes.tolist()) == ([1, 2, 1], [1, 0, 1])


def test_the_oldest_are_forgotten(served: ServedVersion, clock: Clock) -> None:
    answered = AnsweredRequests(4, clock)
    for name, rows in (("a", 2), ("b", 1), ("a", 1), ("c", 2), ("too large", 5), ("d", 1)):
        answered.add(name, served, outputs(served, *[0] * rows))

    assert [name for name in ("a", "b", "c", "too large", "d") if answered.find("tiny", name)] == ["a", "c", "d"]


def test_nothing_is_remembered_where_that_is_switched_off(served: ServedVersion, clock: Clock) -> None:
    answered = AnsweredRequests(0, clock)
    answered.add("a", served, outputs(served, 1))

    assert answered.find("tiny", "a") is None


def test_an_id_that_is_too_long_is_not_remembered(served: ServedVersion, clock: Clock) -> None:
    answered = AnsweredRequests(4, clock)
    for length in (MAX_ID_CHARACTERS, MAX_ID_CHARACTERS + 1):
        answered.add("a" * length, served, outputs(served, 1))

    assert answered.find("tiny", "a" * MAX_ID_CHARACTERS) is not None
    assert answered.find("tiny", "a" * (MAX_ID_CHARACTERS + 1)) is None

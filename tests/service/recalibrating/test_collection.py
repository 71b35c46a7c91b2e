"""The rows that one job collects."""

import asyncio
from typing import Any

import numpy as np
import pytest

from service.recalibrating.collection import Collection
from service.recalibrating.collector import CollectedRows
from service.recalibrating.job import JobStopped
from tests.awaiting import within_time


def collection(**options: Any) -> Collection:
    return Collection("tiny", 1, **{"target": 4, "candidates": 4, "per_client": 4, "max_bytes": 1 << 20, **options})


def rows(*shape: int, client: str = "client") -> CollectedRows:
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    return CollectedRows("tiny", 1, client, {"input": values, "row": np.arange(shape[0])})


def collected(found: Collection) -> dict[str, np.ndarray]:
    return asyncio.run(within_time(found.wait(60), "the collection is not complete"))


def test_rows_are_stacked_by_input_and_stay_together() -> None:
    found = collection()
    found.add(rows(3, 2))
    found.add(rows(3, 2))
    inputs = collected(found)

    assert inputs["input"].shape == (4, 2)
    assert inputs["row"].shape == (4,)
    np.testing.assert_array_equal(inputs["input"][:, 0], 2 * inputs["row"])
    assert (found.kept, found.seen) == (4, 4)  # the fifth and sixth row came too late


def test_one_client_alone_is_not_waited_for_until_the_time_is_up() -> None:
    found = collection(per_client=2)
    found.add(rows(15, 2))
    found.add(rows(1, 2))
    with pytest.raises(
        JobStopped, match=r"2 of 4 rows were kept of 16, as one client may send at most 2; raise 'max_share'"
    ):
        collected(found)


def test_rows_are_copied() -> None:
    found = collection()
    given = rows(4, 2)
    found.add(given)
    for values in given.inputs.values():
        values[:] = -1

    assert collected(found)["input"].min() == 0


def test_rows_are_drawn_from_more_rows_if_asked() -> None:
    found = collection(candidates=10)
    found.add(rows(9, 2))
    with pytest.raises(JobStopped, match=r"4 of 4 rows came in 0\.001 seconds"):
        asyncio.run(found.wait(0.001))

    found.add(rows(9, 2))
    assert len(collected(found)["input"]) == 4
    assert found.seen == 10


def test_one_client_alone_does_not_complete_it_beyond_its_share() -> None:
    found = collection(per_client=2)
    found.add(rows(13, 2))
    assert (found.kept, found.seen) == (2, 13)

    found.add(rows(2, 2, client="another"))
    assert len(collected(found)["input"]) == 4


def test_rows_of_another_shape_than_the_first_are_left_out() -> None:
    found = collection()
    found.add(rows(1, 2))
    found.add(rows(100, 3))

    assert (found.kept, found.seen) == (1, 1)


def test_too_few_rows_in_time_stop_the_job() -> None:
    found = collection()
    found.add(rows(1, 2))

    with pytest.raises(JobStopped, match=r"1 of 4 rows came in 0\.001 seconds") as stopped:
        asyncio.run(found.wait(0.001))
    assert stopped.value.state == "refused"


@pytest.mark.parametrize(("max_bytes", "is_refused"), [(4 * 16, False), (4 * 16 - 1, True)])
def test_rows_that_take_too_much_memory_stop_the_job_at_once(max_bytes: int, is_refused: bool) -> None:
    found = collection(max_bytes=max_bytes)
    found.add(rows(1, 2))  # two numbers of 4 bytes and one of 8

    if is_refused:
        with pytest.raises(JobStopped, match="4 rows take more than 63 bytes"):
            collected(found)
        assert found.kept == 0
    else:
        assert found.kept == 1


def test_a_collection_takes_the_sample_of_another_process() -> None:
    found, other, odd = collection(target=6, per_client=6), collection(), collection()
    found.add(rows(2, 2))
    other.add(rows(3, 2))
    odd.add(rows(3, 5))
    for each in (other, odd, collection()):
        found.merge(each.to_bytes())

    assert (found.kept, found.seen) == (5, 8)
    np.testing.assert_array_equal(found.rows["input"][:, 0], 2 * found.rows["row"])

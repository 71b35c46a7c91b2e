"""A random sample of bounded size, with no more rows of one client than its share."""

import random
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from service.recalibrating.reservoir import Reservoir


def shown(capacity: int, per_client: int, clients: list[str], seed: int = 0) -> Reservoir[tuple[str, int]]:
    reservoir: Reservoir[tuple[str, int]] = Reservoir(capacity, per_client, random.Random(seed).random)
    for place, client in enumerate(clients):
        reservoir.offer(client, lambda place=place, client=client: (client, place))
    return reservoir


def test_every_row_is_as_likely_as_any_other() -> None:
    rows, capacity, trials = 40, 10, 4000
    kept = Counter(
        place for seed in range(trials) for _, place in shown(capacity, capacity, ["a"] * rows, seed=seed).rows
    )
    counts = np.array([kept[place] for place in range(rows)])
    expected = trials * capacity / rows

    # Chi-square with 39 degrees of freedom: mean 39, standard deviation 8.8. The generator is seeded.
    assert ((counts - expected) ** 2 / expected).sum() < 39 + 4 * 8.8
    assert counts.sum() == trials * capacity


def test_rows_come_out_in_the_order_in_which_they_were_offered_to_either_reservoir() -> None:
    seconds = iter(range(100))
    one, other = (Reservoir[int](20, 20, random.Random(seed).random, lambda: float(next(seconds))) for seed in (0, 1))
    for row in range(40):
        (one if row % 3 else other).offer("a", lambda row=row: row)  # type: ignore[misc]
    one.merge(other.samples, other.seen)

    assert len(one.rows) == 20
    assert one.rows == sorted(one.rows)
    assert {row % 3 == 0 for row in one.rows} == {True, False}


def test_a_flood_takes_no_more_than_its_share() -> None:
    clients = ["flood"] * 5000 + ["one", "two"] * 20 + ["flood"] * 5000
    kept = Counter(client for client, _ in shown(100, 50, clients).rows)

    assert kept["flood"] == 50
    assert kept["one"] + kept["two"] == 40


def test_rows_within_a_share_are_drawn_from_all_rows_of_its_client() -> None:
    trials = 2000
    kept = Counter(
        place for seed in range(trials) for client, place in shown(8, 4, ["a"] * 20 + ["b"] * 20, seed=seed).rows
    )
    counts = np.array([kept[place] for place in range(40)])
    expected = trials * 4 / 20

    assert ((counts - expected) ** 2 / expected).sum() < 38 + 4 * 8.7


@given(
    st.integers(1, 12),
    st.integers(1, 12),
    st.lists(st.sampled_from("abcd"), max_size=80),
    st.integers(0, 1000),
)
def test_it_is_as_large_as_its_bounds_allow(capacity: int, per_client: int, clients: list[str], seed: int) -> None:
    reservoir = shown(capacity, per_client, clients, seed)
    kept = Counter(client for client, _ in reservoir.rows)

    assert reservoir.seen == len(clients)
    assert len(reservoir) == min(capacity, sum(min(per_client, count) for count in Counter(clients).values()))
    assert max(kept.values(), default=0) <= per_client
    assert len(set(reservoir.rows)) == len(reservoir)
    assert set(reservoir.rows) <= {(client, place) for place, client in enumerate(clients)}


def test_only_rows_that_are_kept_are_copied() -> None:
    copies: list[int] = []
    reservoir: Reservoir[None] = Reservoir(10, 10, random.Random(0).random)
    for _ in range(10_000):
        reservoir.offer("a", lambda: copies.append(1))

    # A row at place n is kept with probability 10 / n: 10 * (1 + ln(1000)), about 79.
    assert 40 < len(copies) < 140


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=60),
    st.integers(1, 12),
    st.integers(1, 12),
    st.randoms(use_true_random=False),
)
def test_merged_reservoirs_are_one_of_both_streams(
    stream: list[tuple[str, bool]], capacity: int, per_client: int, drawing: random.Random
) -> None:
    # Distinct, as numbers of 53 random bits are: which of two equal ones stays is not promised.
    drawn = [number / 1000 for number in drawing.sample(range(1000), len(stream))]

    def filled(chosen: list[int]) -> Reservoir[int]:
        numbers = iter([drawn[place] for place in chosen])
        clock = [0.0]
        reservoir: Reservoir[int] = Reservoir(capacity, per_client, lambda: next(numbers), lambda: clock[0])
        for place in chosen:
            clock[0] = float(place)
            reservoir.offer(stream[place][0], lambda place=place: place)
        return reservoir

    places = list(range(len(stream)))
    one, other = (filled([place for place in places if stream[place][1] is side]) for side in (True, False))
    one.merge(other.samples, other.seen)

    assert one.rows == filled(places).rows
    assert one.seen == len(stream)

"""Shares of a memory budget."""

import pytest

from service.host.memory_budget import WORTH_RETURNING_BYTES, MemoryBudget, Reservation


def reserve(budget: MemoryBudget, client: str, size: int) -> Reservation | None:
    reservation = Reservation(budget)
    return reservation if reservation.grow(client, size) else None


def test_a_client_alone_gets_half() -> None:
    budget = MemoryBudget(100)

    assert reserve(budget, "a", 50) is not None
    assert reserve(budget, "a", 1) is None
    assert budget.used == 50


@pytest.mark.parametrize("clients", [2, 3, 10])
def test_clients_that_take_what_they_can_leave_a_share_for_the_next(clients: int) -> None:
    budget = MemoryBudget(1100)
    held = dict.fromkeys(range(clients), 0)
    grew = True
    while grew:
        grew = False
        for client in held:
            if reserve(budget, str(client), 1) is not None:
                held[client] += 1
                grew = True

    assert max(held.values()) - min(held.values()) <= 1
    assert reserve(budget, "new", 1100 // (clients + 1) // 2) is not None


def test_what_is_released_can_be_reserved_again() -> None:
    budget = MemoryBudget(100)
    reservation = reserve(budget, "a", 50)
    assert reservation is not None

    reservation.release()
    reservation.release()

    assert budget.used == 0
    assert reserve(budget, "a", 50) is not None


def test_a_reservation_grows_by_what_is_new() -> None:
    budget = MemoryBudget(100)
    reservation = reserve(budget, "a", 10)
    assert reservation is not None

    assert reservation.grow("a", 40)
    assert reservation.grow("a", 30)
    assert budget.used == 40
    assert not reservation.grow("a", 60)
    reservation.release()
    assert budget.used == 0


def test_a_reservation_serves_the_requests_of_several_clients_in_turn() -> None:
    budget = MemoryBudget(100)
    reservation = Reservation(budget)
    for client in ("a", "b"):
        assert reservation.grow(client, 50)
        assert reserve(budget, client, 1) is None
        reservation.release()
        assert budget.used == reservation.size == 0


def test_memory_is_returned_to_the_system_after_much_was_held() -> None:
    returned: list[bool] = []
    budget = MemoryBudget(4 * WORTH_RETURNING_BYTES, lambda: returned.append(True))

    for size, times in ((WORTH_RETURNING_BYTES - 1, 0), (WORTH_RETURNING_BYTES, 1), (1, 1)):
        first, second = reserve(budget, "a", size - 1), reserve(budget, "b", 1)
        assert second is not None
        second.release()
        if first is not None:
            first.release()
        assert len(returned) == times

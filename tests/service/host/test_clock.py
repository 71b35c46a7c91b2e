"""Time while the clock of the system is set."""

from datetime import UTC, datetime, timedelta

import pytest

from service.host import clock

HOURS = 3600.0


@pytest.mark.parametrize("jump", [-5 * HOURS, 5 * HOURS])
def test_setting_the_clock_moves_dates_but_not_the_order_of_times(jump: float, monkeypatch: pytest.MonkeyPatch) -> None:
    before = clock.steady()
    assert abs(clock.to_date(before) - datetime.now(UTC)) < timedelta(seconds=2)

    real = clock.time
    monkeypatch.setattr(clock, "time", lambda: real() + jump)
    after = clock.steady()

    assert 0 <= after - before < HOURS
    moved = clock.to_date(after) - datetime.now(UTC)
    assert abs(moved.total_seconds() - jump) < 2

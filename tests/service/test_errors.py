"""Errors of the domain, as clients see them."""

import pytest

from models.errors import Overloaded
from service.errors import public_error


@pytest.mark.parametrize(("seconds", "header"), [(0.0, "1"), (1.0, "1"), (2.1, "3"), (60.0, "60")])
def test_a_client_that_is_refused_learns_when_to_try_again(seconds: float, header: str) -> None:
    error = public_error(Overloaded("too many", seconds))

    assert (error.status, error.headers["Retry-After"]) == (503, header)

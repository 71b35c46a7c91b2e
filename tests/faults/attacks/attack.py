"""One attack, and what a service may answer to it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tests.faults.target import CLOSED, Target


@dataclass(frozen=True)
class Scale:
    """How hard an attack is.

    Attributes:
        size: bytes of what is large.
        crowd: connections of what comes in crowds.
    """

    size: int
    crowd: int


BOUNDED = Scale(size=8 << 20, crowd=40)
"""For every run of the tests."""

WHOLE = Scale(size=60 << 20, crowd=300)
"""For the table in docs/reliability.md."""


@dataclass(frozen=True)
class Attack:
    """Something that is done to a service.

    Attributes:
        name: for people.
        run: does it, and returns the status of each answer.
        allowed: the statuses that a healthy service may give.
    """

    name: str
    run: Callable[[Target, Scale], Iterable[str]]
    allowed: frozenset[str]


def refused(*also: str) -> frozenset[str]:
    """The statuses of a refusal, for whatever reason, and a closed connection."""
    return frozenset({"400", "408", "413", "414", "431", "503", CLOSED, *also})


PIECE = 1 << 16
"""Bytes that are sent at a time, as a network would deliver them."""


def pieces(content: bytes, total: int) -> Iterable[bytes]:
    """Content again and again, up to a number of bytes, without holding more than a piece of it."""
    block = content * max(1, PIECE // len(content))
    for _ in range(total // len(block)):
        yield block

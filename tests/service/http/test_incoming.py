"""What has come is taken in parts of which none reaches beyond a request, however it was cut into segments."""

import sys
from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from service.http.incoming import Incoming
from service.http.known_head import KnownHead
from tests.service.http.connections import cut

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n\r\n"


@given(places=st.lists(st.floats(0, 1), max_size=30))
def test_every_empty_line_ends_a_part(places: list[float]) -> None:
    incoming = Incoming()
    parts: list[bytes] = []
    for segment in cut(HEAD * 3, places):
        incoming.add(segment)
        while incoming.size:
            parts.append(bytes(incoming.take(None)))

    assert b"".join(parts) == HEAD * 3
    assert {len(HEAD), 2 * len(HEAD), 3 * len(HEAD)} <= set(accumulate(map(len, parts)))


@given(places=st.lists(st.floats(0, 1), max_size=9), size=st.integers(1, 40))
def test_no_more_is_taken_than_a_length(places: list[float], size: int) -> None:
    incoming = Incoming()
    left = size
    for segment in cut(HEAD * 2, places):
        incoming.add(segment)
        while incoming.size and left:
            left -= len(incoming.take(left))

    assert left == 0
    assert incoming.size == len(HEAD * 2) - size


def test_what_is_given_back_is_taken_again() -> None:
    incoming = Incoming()
    incoming.add(HEAD)

    incoming.take(10)
    incoming.give_back(4)

    assert bytes(incoming.take(4)) == HEAD[6:10]
    assert bytes(incoming.take(None)) == HEAD[10:]


def test_empty_lines_before_a_request_are_dropped_at_once() -> None:
    incoming = Incoming()
    incoming.add(b"\r\n" * 1000 + HEAD)
    incoming.skip_empty_lines()
    assert bytes(incoming.take(None)) == HEAD

    incoming.add(b"\n\r")
    incoming.skip_empty_lines()
    assert incoming.size == 0
    incoming.add(HEAD)
    incoming.skip_empty_lines()
    assert bytes(incoming.take(None)) == HEAD


def test_a_segment_is_not_kept_when_its_body_was_taken() -> None:
    headers = [(b"host", b"x"), (b"content-length", b"4")]
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"
    known = KnownHead.of(head, headers, dict(headers))
    assert known is not None
    incoming, segment = Incoming(), head + b"body"
    references = sys.getrefcount(segment)
    incoming.add(segment)
    assert sys.getrefcount(segment) > references

    assert incoming.take_body(known) == b"body"
    assert sys.getrefcount(segment) == references
    assert not incoming.size

"""A head is known again where a parser would find the same request, and only there."""

from dataclasses import dataclass, field

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.http.known_head import KnownHead

HEAD = b"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: x\r\nContent-Length: %b\r\nX-Request-ID: mine\r\n\r\n"


@dataclass
class Parsed:
    """One request as httptools parses it."""

    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    is_complete: bool = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.is_complete = True


def parse(data: bytes) -> Parsed:
    parsed = Parsed()
    httptools.HttpRequestParser(parsed).feed_data(data)
    return parsed


def known(head: bytes) -> KnownHead | None:
    parsed = parse(head)
    by_name = dict(parsed.headers)
    return KnownHead.of(head, parsed.headers, by_name)


def good() -> KnownHead:
    head = known(HEAD % b"5")
    assert head is not None
    return head


@given(first=st.integers(0, 12_000), body=st.binary(max_size=120), before=st.binary(max_size=5))
def test_a_request_with_the_same_head_is_as_a_parser_finds_it(first: int, body: bytes, before: bytes) -> None:
    data = HEAD % (b"%d" % len(body)) + body
    head = known(HEAD % (b"%d" % first))
    assert head is not None
    start = head.find_body(before + data, len(before))

    if len(body) in {9, 98, 99}:  # left to the parser
        assert start is None
        return

    assert start is not None
    parsed = parse(data)
    assert (before + data)[start:] == parsed.body == body
    assert head.with_length(len(body)) == (parsed.headers, dict(parsed.headers))


@pytest.mark.parametrize(
    "length",
    [
        b"",
        b"+5",
        b"-5",
        b" 5",
        b"5 ",
        b"5,5",
        b"0x5",
        b"4",
        b"6",
        b"5\t",
        b"\xd9\xa5",
        b"5\r\nContent-Length: 5",
        b"05",
        b"0" * 9 + b"5",
    ],
)
def test_another_length_is_left_to_the_parser(length: bytes) -> None:
    assert good().find_body(HEAD % length + b"12345", 0) is None
    assert good().find_body(HEAD % b"5" + b"12345", 0) is not None


@given(place=st.integers(0, len(HEAD)), byte=st.integers(0, 255))
def test_a_head_with_another_byte_is_another_head(place: int, byte: int) -> None:
    data = HEAD % b"5"
    place = min(place, len(data) - 1)
    changed = data[:place] + bytes([byte]) + data[place + 1 :]

    assert (good().find_body(changed + b"12345", 0) is not None) == (changed == data)


@pytest.mark.parametrize("rest", [b"", b"1234", b"123456", b"12345POST"])
def test_a_request_that_is_not_complete_or_not_alone_is_left_to_the_parser(rest: bytes) -> None:
    assert good().find_body(HEAD % b"5" + rest, 0) is None


@pytest.mark.parametrize(
    "head",
    [
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length:  5\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\t5\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5 \r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0000000005\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nX: %b\r\n\r\n" % (b"x" * 4096),
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n1",
    ],
)
def test_a_head_that_is_long_or_written_in_another_way_is_always_parsed(head: bytes) -> None:
    assert known(head) is None

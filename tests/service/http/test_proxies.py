"""Who the client is, behind proxies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.http.proxies import Client, Proxies

PEER = Client("10.0.0.1", "http")


def client(trusted: str = "10.0.0.0/8", **headers: str) -> Client:
    """What is taken for the client of a request from a trusted proxy."""
    given = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return Proxies(trusted).client(PEER, given)


@pytest.mark.parametrize(
    ("trusted", "peer", "is_trusted"),
    [
        ("", "127.0.0.1", False),
        ("", "", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("127.0.0.1", "", False),
        ("10.0.0.0/8, ::1", "10.9.9.9", True),
        ("10.0.0.0/8, ::1", "::1", True),
        ("10.0.0.0/8", "::ffff:10.1.1.1", True),  # IPv4 on a socket for both families
        ("fe80::/10", "fe80::1%eth0", True),
        ("unix", "", True),
        ("unix", "127.0.0.1", False),
        ("0.0.0.0/0", "testclient", False),
    ],
)
def test_who_is_trusted(trusted: str, peer: str, is_trusted: bool) -> None:
    assert Proxies(trusted).trusts(peer) is is_trusted


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, PEER),
        ({"x_forwarded_for": "192.0.2.1"}, Client("192.0.2.1", "http")),
        ({"x_forwarded_for": "192.0.2.1", "x_forwarded_proto": "https"}, Client("192.0.2.1", "https")),
        ({"x_forwarded_proto": "https"}, Client("10.0.0.1", "https")),
        ({"x_forwarded_proto": "gopher"}, PEER),
        # What the client has sent itself stands before what the proxies have added.
        ({"x_forwarded_for": "198.51.100.9, 192.0.2.1, 10.0.0.2"}, Client("192.0.2.1", "http")),
        ({"x_forwarded_for": "192.0.2.1, nonsense, 10.0.0.2"}, Client("10.0.0.2", "http")),
        ({"x_forwarded_for": "10.0.0.3, 10.0.0.2"}, Client("10.0.0.3", "http")),
        ({"x_forwarded_for": "nonsense"}, PEER),
        ({"x_forwarded_for": "192.0.2.1:4711"}, Client("192.0.2.1", "http")),
        ({"x_forwarded_for": "2001:DB8::1"}, Client("2001:db8::1", "http")),
        ({"forwarded": 'for=192.0.2.1;proto=https, For="[2001:db8::1]:47";Proto=http'}, Client("2001:db8::1", "http")),
        ({"forwarded": "for=_hidden"}, PEER),
        ({"forwarded": "for=192.0.2.1", "x_forwarded_for": "192.0.2.1"}, Client("192.0.2.1", "http")),
        # One of them is the client's own: neither is believed.
        ({"forwarded": "for=192.0.2.1", "x_forwarded_for": "192.0.2.2"}, PEER),
    ],
)
def test_the_client_that_a_trusted_proxy_names(headers: dict[str, str], expected: Client) -> None:
    assert client(**headers) == expected


def test_several_headers_are_one_list() -> None:
    headers = [(b"x-forwarded-for", b"192.0.2.1"), (b"x-forwarded-for", b"192.0.2.2")]

    assert Proxies("10.0.0.1").client(PEER, headers) == Client("192.0.2.2", "http")


@given(st.lists(st.tuples(st.sampled_from([b"x-forwarded-for", b"x-forwarded-proto", b"forwarded"]), st.binary())))
def test_no_header_makes_it_fail(headers: list[tuple[bytes, bytes]]) -> None:
    found = Proxies("10.0.0.1").client(PEER, headers)

    assert found.scheme in {"http", "https"}
    assert found.address


@pytest.mark.parametrize("trusted", ["10.0.0.1/8", "localhost", "*", "10.0.0.1,", " "])
def test_only_addresses_and_networks_are_trusted(trusted: str) -> None:
    with pytest.raises(ValueError, match=r"does not appear|has host bits"):
        Proxies(trusted)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (b"/denge/v2/models/mlp", b"/v2/models/mlp"),
        (b"/v2/models/mlp", b"/v2/models/mlp"),  # the proxy has removed it
        (b"/denge/", b"/"),
        (b"/denge/denge/", b"/denge/"),
        (b"/dengesiz/v2", b"/dengesiz/v2"),
        (b"/denge", b"/denge"),
    ],
)
def test_the_root_path_is_removed(url: bytes, expected: bytes) -> None:
    assert Proxies(root_path="/denge").local(url) == expected
    assert Proxies().local(url) == url

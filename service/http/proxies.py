"""Proxies in front of the service: the clients behind them, and the path under which they publish it."""

import ipaddress
from collections.abc import Iterable
from typing import NamedTuple

Headers = Iterable[tuple[bytes, bytes]]
"""Names in lower case, and values."""

UNIX = "unix"
"""Stands for every client of the unix socket, which has no address."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Client(NamedTuple):
    """Who has sent a request.

    Attributes:
        address: IP address; empty for a client of the unix socket.
        scheme: http or https, as the client used it.
    """

    address: str
    scheme: str


class Proxies:
    """The proxies that are trusted to name their clients, and the path under which they publish the service.

    Args:
        trusted: IP addresses, networks and `unix`, separated by commas. Empty trusts nobody.
        root_path: beginning of the paths that clients use, such as `/denge`; empty if there is none.

    Raises:
        ValueError: an entry is none of them.
    """

    def __init__(self, trusted: str = "", root_path: str = "") -> None:
        entries = [entry.strip() for entry in trusted.split(",")] if trusted else []
        self._trusts_unix = UNIX in entries
        self._networks: list[Network] = [ipaddress.ip_network(entry) for entry in entries if entry != UNIX]
        self._root_path = root_path.encode("ascii")

    def trusts(self, peer: str) -> bool:
        """Whether the other end of a connection may name its clients.

        Args:
            peer: its IP address; empty on the unix socket.
        """
        if not peer:
            return self._trusts_unix
        try:
            address = ipaddress.ip_address(peer.partition("%")[0])
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:  # IPv4 on a socket for both families
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)

    def client(self, peer: Client, headers: Headers) -> Client:
        """The client that a trusted proxy names: the last one on the way that is no trusted proxy itself.

        A proxy sets `X-Forwarded-For` or `Forwarded`, and lets the other one pass as its client has sent it. So where
        both are there and differ, neither is believed.
        """
        common, standard = _x_forwarded(headers), _forwarded(headers)
        if common.addresses and standard.addresses and common.addresses != standard.addresses:
            return peer
        found = common if common.addresses or not standard.addresses else standard
        address = peer.address
        for address in reversed(found.addresses):
            if not self.trusts(address):
                break
        return Client(address, found.scheme or peer.scheme)

    def local(self, url: bytes) -> bytes:
        """The URL without the root path, whether or not the proxy has removed it."""
        root = self._root_path
        return url[len(root) :] if root and url.startswith(root + b"/") else url


class _Named(NamedTuple):
    addresses: list[str]
    scheme: str


def _x_forwarded(headers: Headers) -> _Named:
    addresses = [part for value in _values(headers, b"x-forwarded-for") for part in value.split(",")]
    schemes = [part for value in _values(headers, b"x-forwarded-proto") for part in value.split(",")]
    return _Named(_known(addresses), _scheme(schemes))


def _forwarded(headers: Headers) -> _Named:
    """RFC 7239: `for=192.0.2.1;proto=https, for="[2001:db8::1]:4711"`."""
    addresses, schemes = [], []
    for element in (part for value in _values(headers, b"forwarded") for part in value.split(",")):
        pairs = (pair.partition("=") for pair in element.split(";"))
        fields = {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}
        addresses.append(fields.get("for", ""))
        schemes.append(fields.get("proto", ""))
    return _Named(_known(addresses), _scheme(schemes))


def _values(headers: Headers, wanted: bytes) -> list[str]:
    return [value.decode("latin-1") for name, value in headers if name == wanted]


def _known(entries: list[str]) -> list[str]:
    """The addresses at the end of the list: what stands before an entry that is none is not to be relied on."""
    addresses: list[str] = []
    for entry in reversed(entries):
        try:
            addresses.insert(0, str(ipaddress.ip_address(_without_port(entry.strip()))))
        except ValueError:
            break
    return addresses


def _without_port(entry: str) -> str:
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    return entry.partition(":")[0] if entry.count(":") == 1 else entry


def _scheme(schemes: list[str]) -> str:
    last = schemes[-1].strip().lower() if schemes else ""
    return last if last in {"http", "https"} else ""

"""Sockets that the service listens on: TCP addresses, or a unix socket."""

import ipaddress
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple


class Address(NamedTuple):
    """An address to listen on.

    Attributes:
        host: as it was given, or the name that was resolved.
        family: of the socket.
        ip: the IP address.
        scope: interface of a link-local IPv6 address; 0 for all others.
    """

    host: str
    family: socket.AddressFamily
    ip: str
    scope: int = 0

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return ipaddress.ip_address(self.ip.partition("%")[0]).is_loopback


def resolve(hosts: str) -> list[Address]:
    """Addresses of a comma-separated list of IP addresses and names. A name may have several.

    Raises:
        OSError: a name has no address.
        ValueError: the list has an empty entry.
    """
    found: dict[tuple[int, str, int], Address] = {}
    for host in (part.strip() for part in hosts.split(",")):
        if not host:
            raise ValueError("expected an IP address or a name")
        try:
            entries = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except OSError as error:
            raise OSError(f"host {host}: {error.strerror}") from error
        for family, _, _, _, address in entries:
            scope = int(address[3]) if len(address) == 4 else 0
            found.setdefault((family, str(address[0]), scope), Address(host, family, str(address[0]), scope))
    return list(found.values())


def bind(addresses: Sequence[Address], port: int) -> list[socket.socket]:
    """A socket for each address, on one port. `::` accepts IPv4 as well, unless an IPv4 address is listed beside it.

    Args:
        addresses: from `resolve`.
        port: 0 chooses a free one.

    Raises:
        OSError: the message names the address that cannot be bound.
    """
    is_dual = all(address.family == socket.AF_INET6 for address in addresses)
    bound: list[socket.socket] = []
    with ExitStack() as undo:
        for address in addresses:
            found = undo.enter_context(socket.socket(address.family, socket.SOCK_STREAM))
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            name: tuple[Any, ...] = (address.ip, port)
            if address.family == socket.AF_INET6:
                found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not is_dual)
                name = (address.ip, port, 0, address.scope)
            try:
                found.bind(name)
            except (OSError, OverflowError) as error:
                raise OSError(f"{describe(address.ip, port)}: {_reason(error)}") from error
            port = found.getsockname()[1]
            bound.append(found)
        undo.pop_all()
    return bound


@contextmanager
def shared_port(address: Address, port: int) -> Iterator[int]:
    """A port on which several processes of this user may listen, each with a socket of its own.

    Args:
        address: from `resolve`.
        port: 0 chooses a free one.

    Raises:
        OSError: the port is taken.
    """
    with socket.socket(address.family, socket.SOCK_STREAM) as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            held.bind((address.ip, port))
        except OSError as error:
            raise OSError(f"{describe(address.ip, port)}: {_reason(error)}") from error
        yield int(held.getsockname()[1])


@contextmanager
def unix_socket(path: Path, mode: int) -> Iterator[socket.socket]:
    """A bound unix socket, whose file is removed at the end.

    The file of a service that was killed is replaced; that of one that still listens is not.

    Args:
        path: of the file. It appears with its permissions, by one rename.
        mode: permissions of the file.

    Raises:
        OSError: the message names the file.
    """
    _refuse_used(path)
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as bound:
        try:
            staged.unlink(missing_ok=True)
            bound.bind(str(staged))
            staged.chmod(mode)
            own = staged.stat().st_ino
            staged.replace(path)
        except OSError as error:
            staged.unlink(missing_ok=True)
            raise OSError(f"{path}: {_reason(error)}") from error
        try:
            yield bound
        finally:
            # Another service may have replaced it.
            if path.exists() and path.stat().st_ino == own:
                path.unlink()


def describe(host: str, port: int) -> str:
    """An address as URLs have it: an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _refuse_used(path: Path) -> None:
    if not path.exists():
        return
    if not path.is_socket():
        raise OSError(f"{path}: a file that is no socket exists there")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return  # nobody listens any more
        except OSError as error:
            raise OSError(f"{path}: {_reason(error)}") from error
    raise OSError(f"{path}: another process listens on this socket")


def _reason(error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) else None
    return (reason or str(error)).lower()

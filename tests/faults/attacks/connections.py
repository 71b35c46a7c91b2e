"""Connections that say too little, too slowly, or never listen."""

import socket
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial

from tests.faults.attacks.attack import PIECE, Attack, Scale, refused
from tests.faults.target import CLOSED, Target, status_of

_PREDICT = b"POST /v2/models/mlp/infer HTTP/1.1\r\nHost: x\r\n"
_UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n"
_LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
_ROW = b'{"inputs":[{"name":"input","datatype":"FP32","shape":[1,784],"data":[%s]}]}' % b",".join([b"0"] * 784)


@contextmanager
def _crowd(target: Target, number: int) -> Iterator[list[socket.socket]]:
    """Connections, all open together. Those that the service refuses are left out."""
    with ExitStack() as stack:
        connections = []
        for _ in range(number):
            with suppress(OSError):
                connections.append(stack.enter_context(target.connect()))
        yield connections


def _say(connections: Iterable[socket.socket], content: bytes) -> None:
    for connection in connections:
        with suppress(OSError):
            connection.sendall(content)


def _silent(words: bytes, target: Target, scale: Scale) -> Iterable[str]:
    """Say something, and then nothing more. The time limits end it later: here it only must not disturb."""
    with _crowd(target, scale.crowd) as connections:
        _say(connections, words)
        return [target.send([_LIVE])]


def _unfinished(target: Target, scale: Scale) -> Iterable[str]:
    """Bodies that stop just before their end: what is held for them is bounded."""
    length = min(scale.size, target.max_body)
    with _crowd(target, scale.crowd // 10) as connections:
        for connection in connections:
            connection.settimeout(0.5)  # where the service reads no more, go on to the next
            with suppress(OSError):
                connection.sendall(_PREDICT + b"Content-Length: %d\r\n\r\n" % length)
                for _ in range(length // PIECE - 1):
                    connection.sendall(b" " * PIECE)
        return [target.send([_LIVE])]


def _never_listens(target: Target, scale: Scale) -> Iterable[str]:
    """Ask for a large answer, many times, and read none of it."""
    with _crowd(target, scale.crowd) as connections:
        for connection in connections:
            connection.setblocking(False)
            with suppress(OSError):
                connection.send(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 200)
        return [target.send([_LIVE])]


def _resets(begin: bytes, target: Target, scale: Scale) -> Iterable[str]:
    """Begin a request, and tear the connection down with a reset."""
    for _ in range(scale.crowd):
        with suppress(OSError), target.connect() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.sendall(begin)
    return [target.send([_LIVE])]


def _half_closed(target: Target, _scale: Scale) -> Iterable[str]:
    """Send a request and close one's own side: the answer is still wanted."""
    with target.connect() as connection:
        connection.sendall(_PREDICT + b"Content-Length: %d\r\n\r\n" % len(_ROW) + _ROW)
        connection.shutdown(socket.SHUT_WR)
        return [status_of(connection)]


def _pipelined(target: Target, scale: Scale) -> Iterable[str]:
    """A thousand requests at once, none of whose answers is waited for."""
    with target.connect() as connection:
        connection.setblocking(False)
        with suppress(OSError):
            for _ in range(scale.crowd * 10):
                connection.send(_LIVE)
        return [target.send([_LIVE])]


def _upgrades(protocol: bytes, target: Target, _scale: Scale) -> Iterable[str]:
    """A prediction with an upgrade that is not asked for: it is answered as if there were none."""
    head = b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"
    upgrade = b"Upgrade: %s\r\n" % protocol
    return [target.send([_PREDICT, head, upgrade, b"Content-Length: %d\r\n\r\n" % len(_ROW), _ROW])]


def _listeners(target: Target, scale: Scale) -> Iterable[str]:
    """As many subscriptions to events as one client can open."""
    with _crowd(target, scale.crowd) as connections:
        _say(connections, b"GET /v2/events HTTP/1.1\r\nHost: x\r\n\r\n")
        statuses = [status_of(connection) for connection in connections]
    return [*statuses, target.send([_LIVE])]


_LOAD = b"POST /v2/repository/models/mlp/load HTTP/1.1\r\nHost: x\r\n"
_ONE_CHUNK = b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"
_ANSWERED = frozenset({"200"})
_ATTACKS: list[tuple[str, Callable[[Target, Scale], Iterable[str]], frozenset[str]]] = [
    ("connections that say nothing", partial(_silent, b""), _ANSWERED),
    ("heads that do not end", partial(_silent, _PREDICT + b"X: y\r\n"), _ANSWERED),
    ("bodies that do not begin", partial(_silent, _PREDICT + b"Content-Length: 100\r\n\r\n"), _ANSWERED),
    ("bodies that do not begin, of an admin call", partial(_silent, _LOAD + b"Content-Length: 9\r\n\r\n"), _ANSWERED),
    ("chunked bodies that do not end", partial(_silent, _PREDICT + _ONE_CHUNK), _ANSWERED),
    ("bodies that stop before their end", _unfinished, _ANSWERED),
    ("clients that read no answer", _never_listens, _ANSWERED),
    ("resets in a head", partial(_resets, _PREDICT), _ANSWERED),
    ("resets in a body", partial(_resets, _PREDICT + b"Content-Length: 100\r\n\r\n{"), _ANSWERED),
    ("resets after a request", partial(_resets, _LIVE), _ANSWERED),
    ("half-closed after a request", _half_closed, _ANSWERED),
    ("pipelined requests", _pipelined, _ANSWERED),
    ("an upgrade to HTTP/2", partial(_upgrades, b"h2c"), _ANSWERED),
    ("an upgrade to nothing known", partial(_upgrades, b"foo/2"), _ANSWERED),
    ("websockets", partial(_silent, b"GET /v2/events HTTP/1.1\r\nHost: x\r\n" + _UPGRADE + b"\r\n"), _ANSWERED),
    ("subscriptions to events", _listeners, refused("200", CLOSED)),
]

ATTACKS = [Attack(name, run, allowed) for name, run, allowed in _ATTACKS]

"""Standard output and standard error, written without waiting and without errors.

A log is no reason to stop: the disk may be full, the reader of a pipe may have ended or may not read. What cannot be
written at once waits in a bounded buffer, which a thread writes as soon as it can. What does not fit there is dropped
and counted.
"""

import atexit
import os
import select
import socket
import stat
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import cache, partial
from time import sleep
from typing import IO, Any

Write = Callable[[bytearray], int]

MAX_UNWRITTEN_BYTES = 1 << 20
"""Further writes are dropped until these bytes are written."""


_RETRY_SECONDS = 0.05
_DRAIN_ATTEMPTS = 10


def reserve_standard_streams() -> None:
    """Open /dev/null in place of standard streams that the parent process has closed.

    Otherwise the next file or connection would get the number of one of them, and libraries would write into it.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


@cache
def standard_error() -> "Stream":
    """Returns the stream of the log."""
    return _until_exit(sys.stderr)


@cache
def standard_output() -> "Stream":
    """Returns the stream of what is for the person who starts the service."""
    return _until_exit(sys.stdout)


class Stream:
    """One standard stream. Safe to use from several threads.

    Args:
        file: `sys.stdout` or `sys.stderr`. None, as Python has it for a closed one, writes nothing, and so does a file
            without a descriptor.
    """

    def __init__(self, file: IO[Any] | None) -> None:
        self._write_some: Write = len
        self._descriptors = ExitStack()
        if file is not None:
            with suppress(OSError, ValueError):
                self._write_some = _writer(file.fileno(), self._descriptors)
        self._unwritten = bytearray()
        self._dropped = 0
        self._retrying = False
        self._lock = threading.Lock()

    def write(self, data: bytes) -> None:
        """Write, or keep for the next write, or drop."""
        with self._lock:
            if self._unwritten and len(self._unwritten) + len(data) > MAX_UNWRITTEN_BYTES:
                self._dropped += data.count(b"\n")
            else:
                self._unwritten += data
            self._write_unwritten()
            if self._unwritten and not self._retrying:
                self._retrying = True
                with suppress(RuntimeError):  # the process ends
                    threading.Thread(target=self._retry, name="log", daemon=True).start()

    def flush(self) -> None:
        """Do nothing: `write` has written what can be written."""

    def drain(self) -> None:
        """Give a slow reader a moment to read what waits, before the process ends."""
        for _ in range(_DRAIN_ATTEMPTS):
            self.write(b"")
            if not self._unwritten:
                return
            sleep(_RETRY_SECONDS)

    def close(self) -> None:
        """Write nothing more."""
        with self._lock:
            self._unwritten.clear()
            self._write_some = len
            self._descriptors.close()

    def take_dropped(self) -> int:
        """Returns how many lines were dropped since the last call; 0 as long as others still wait."""
        with self._lock:
            dropped = 0 if self._unwritten else self._dropped
            self._dropped -= dropped
            return dropped

    def _write_unwritten(self) -> None:
        with suppress(OSError):
            while self._unwritten and (written := self._write_some(self._unwritten)):
                del self._unwritten[:written]

    def _retry(self) -> None:
        while True:
            sleep(_RETRY_SECONDS)
            with self._lock:
                self._write_unwritten()
                if not self._unwritten:
                    self._retrying = False
                    return


def _writer(shared: int, opened: ExitStack) -> Write:
    """Returns what writes a part of some bytes without waiting, and returns the length of that part.

    Args:
        shared: the descriptor. It is opened once more: nobody else closes that, and its number is not used again.
        opened: closes the new one.

    Raises:
        OSError: there is no such descriptor.
    """
    kind = os.fstat(shared).st_mode
    if stat.S_ISSOCK(kind):
        connection = opened.enter_context(socket.socket(fileno=os.dup(shared)))
        return lambda data: connection.send(data, socket.MSG_DONTWAIT)
    if stat.S_ISFIFO(kind):
        # Not by O_NONBLOCK on the given one, which all processes that share it would see.
        with suppress(OSError):
            pipe = os.open(f"/proc/self/fd/{shared}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            opened.callback(os.close, pipe)
            return partial(os.write, pipe)
    descriptor = os.dup(shared)
    opened.callback(os.close, descriptor)
    if stat.S_ISREG(kind):
        return partial(os.write, descriptor)
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return lambda data: os.write(descriptor, memoryview(data)[: select.PIPE_BUF]) if poll.poll(0) else 0


def _until_exit(file: IO[Any] | None) -> Stream:
    stream = Stream(file)
    atexit.register(stream.drain)
    return stream

"""The service under attack, seen from outside: raw sockets, and what the kernel says of its memory."""

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ANSWER_SECONDS = 60.0
"""Longest wait for an answer: what takes longer counts as hanging."""

CLOSED = "closed"
HANGS = "hangs"


@dataclass(frozen=True)
class Memory:
    """Resident memory of a process, bytes.

    Attributes:
        now: at this moment.
        peak: the most since `Target.forget_peak`.
    """

    now: int
    peak: int


@dataclass(frozen=True)
class Target:
    """A service that runs.

    Attributes:
        port: on 127.0.0.1.
        process: its process id.
        max_body: the largest body that it reads, bytes.
    """

    port: int
    process: int
    max_body: int

    def connect(self) -> socket.socket:
        """A connection whose every wait has a limit."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=ANSWER_SECONDS)

    def send(self, parts: Iterable[bytes]) -> str:
        """Send parts one after the other as far as the service takes them, and return the status of its answer."""
        with self.connect() as connection:
            try:
                for part in parts:
                    connection.sendall(part)
            except ConnectionError:
                pass  # refused before the end: the answer may still be there
            except TimeoutError:
                return HANGS
            return status_of(connection)

    def memory(self) -> Memory:
        """What the process holds."""
        lines = Path(f"/proc/{self.process}/status").read_text().splitlines()
        kibibytes = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith(("VmRSS", "VmHWM"))}
        return Memory(now=kibibytes["VmRSS"] << 10, peak=kibibytes["VmHWM"] << 10)

    def forget_peak(self) -> None:
        """Count the peak from now on."""
        Path(f"/proc/{self.process}/clear_refs").write_text("5")


def status_of(connection: socket.socket) -> str:
    """The status of the next answer on a connection: three digits, `CLOSED` or `HANGS`."""
    answer = b""
    try:
        while len(answer) < len(b"HTTP/1.1 200"):
            if not (received := connection.recv(4096)):
                return CLOSED
            answer += received
    except ConnectionError:
        return CLOSED
    except TimeoutError:
        return HANGS
    return answer.split(b" ")[1].decode("latin-1")

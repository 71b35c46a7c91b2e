"""Makes the twin of a version by a process of its own, from the service's side."""

import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from io import BytesIO

from models.errors import NotReady
from models.repository.bundle import Bundle
from service.host.process_exit import describe_exit
from service.watching.twins.twin_messages import MadeTwin, TwinOrder

COMMAND = (sys.executable, "-m", "service.watching.twins.twin_process")
MAX_SECONDS = 180.0
"""A process that runs for longer is killed. It gives up by itself before, where it has a core."""


class TwinMaker:
    """Makes one twin at a time. Safe to use from several threads.

    Args:
        command: starts the process.
    """

    def __init__(self, command: Sequence[str] = COMMAND) -> None:
        self._command = command
        self._one_at_a_time = threading.Lock()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False

    def make(self, bundle: Bundle) -> MadeTwin | None:
        """Returns the twin of a version, after some seconds; None where no accuracy can be estimated by it.

        Raises:
            NotReady: the process failed or was killed, as where the memory is full.
            OSError: it could not be started.
        """
        order = TwinOrder.of(bundle)
        if order is None:
            return None
        with self._one_at_a_time:
            output = self._run(order.to_bytes())
        try:
            return MadeTwin.read(BytesIO(output))
        except ValueError:
            return None

    def close(self) -> None:
        """End the current process, and start no more."""
        with self._lock:
            self._closed = True
            if self._process is not None:
                self._process.kill()

    def _run(self, order: bytes) -> bytes:
        with self._lock:
            if self._closed:
                return b""
            process = self._process = subprocess.Popen(  # noqa: S603 - a command of this module's
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        assert process.stdin is not None  # noqa: S101 - for the type checker
        assert process.stdout is not None  # noqa: S101 - for the type checker
        timer = threading.Timer(MAX_SECONDS, process.kill)
        timer.start()
        try:
            with suppress(OSError):  # it has died: it writes nothing
                process.stdin.write(order)
                process.stdin.flush()  # not closed: the process exits when it is
            output = process.stdout.read()
            if (code := process.wait()) and not self._closed:
                raise NotReady(f"the process that makes the twin ended {describe_exit(code)}")
            return output
        finally:
            timer.cancel()
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with suppress(OSError):
                    pipe.close()
            with self._lock:
                self._process = None

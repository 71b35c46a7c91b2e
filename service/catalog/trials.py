"""Trials: a version that is new is loaded in a process of its own first, with limits of time and memory."""

import os
import select
import subprocess
import sys
import threading
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing, suppress
from math import ceil
from pathlib import Path
from time import monotonic

import structlog

from models.errors import DengeError
from models.repository.repository import Repository
from service.catalog.loader import VersionKey
from service.catalog.trial_process import Order
from service.catalog.tried_versions import TriedVersions
from service.host.process_exit import describe_exit

log = structlog.get_logger()

COMMAND = (sys.executable, "-m", "service.catalog.trial_process")

FIRST_TURN_SECONDS = 10.0
"""A version that takes longer is tried again after all others."""

_POLL_MILLISECONDS = 50
_TOO_LATE = "its trial was not finished after"
_MIB = 1 << 20
_BYTES_OF_FILE_BYTES = 4
"""Of memory, for each byte of a version's files: measured are 2.2 for matrices and 3.1 for convolutions."""
_BYTES_OF_ANY = 512 * _MIB
"""Of memory, for a version of any size."""

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Trials:
    """Tries versions before this process loads them. Safe to use from several threads.

    Args:
        repository: where they are.
        tried: the versions that need no trial.
        seconds: for one version.
        max_bytes: of memory, for one version.
        threads: inside one run.
        command: starts the process, which reads an `Order` from its standard input.
    """

    def __init__(
        self,
        repository: Repository,
        tried: TriedVersions,
        seconds: float,
        max_bytes: int,
        threads: int = 1,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self._repository = repository
        self._tried = tried
        self._seconds = seconds
        self._max_bytes = max_bytes
        self._threads = threads
        self._command = command

    def trust(self, model: str, version: int) -> None:
        """Take a version for tried: the process that made it has run it.

        Raises:
            BundleError: it cannot be read.
        """
        self._tried.add(self._repository.digest(model, version))

    def start(self, versions: Sequence[VersionKey]) -> Mapping[VersionKey, "Future[str]"]:
        """Start to try versions, one after the other in one process, and return at once.

        Returns:
            For each version, why it must not be loaded here; empty if it may be, at once if it has been tried before.
        """
        outcomes: dict[VersionKey, Future[str]] = {key: Future() for key in versions}
        digests: dict[VersionKey, str] = {}
        for key, outcome in outcomes.items():
            try:
                digest = self._repository.digest(*key)
            except DengeError:  # raised again when the version is loaded
                outcome.set_result("")
                continue
            if digest in self._tried:
                outcome.set_result("")
            else:
                digests[key] = digest
        if digests:
            threading.Thread(target=self._try_all, args=(digests, outcomes), name="trials", daemon=True).start()
        return outcomes

    def _try_all(self, digests: Mapping[VersionKey, str], outcomes: Mapping[VersionKey, "Future[str]"]) -> None:
        """Try all versions. Each gets an outcome whatever fails: what loads it waits for that."""
        try:
            self._try_in_turns(digests, outcomes)
        except Exception as error:
            log.error("trials_failed", exc_info=error)
            for outcome in outcomes.values():
                if not outcome.done():
                    outcome.set_result(f"its trial could not be finished: {error}")

    def _try_in_turns(self, digests: Mapping[VersionKey, str], outcomes: Mapping[VersionKey, "Future[str]"]) -> None:
        """Try all versions. Those that take long come again last, so that the others need not wait for them."""
        again: list[VersionKey] = []
        left, seconds = list(digests), min(FIRST_TURN_SECONDS, self._seconds)
        while left:
            ended = 0
            with closing(self._run(left, seconds)) as reasons:
                for key, reason in zip(left, reasons, strict=False):
                    ended += 1
                    if reason.startswith(_TOO_LATE) and seconds < self._seconds:
                        again.append(key)
                        continue
                    if reason:
                        log.error("trial_failed", model=key[0], version=key[1], reason=reason)
                    else:
                        self._tried.add(digests[key])
                    outcomes[key].set_result(reason)
            left = left[ended:]
            if not left:
                left, again, seconds = again, [], self._seconds

    def _run(self, versions: Sequence[VersionKey], seconds: float) -> Generator[str, None, None]:
        """Try versions in one process, up to the first one that ends it: why each must not be loaded."""
        cache = self._repository.cache
        order = Order(
            repository=self._repository.location,
            cache=None if cache is None else str(cache.folder.absolute()),
            cache_bytes=0 if cache is None else cache.max_bytes,
            versions=list(versions),
            threads=self._threads,
            service=os.getpid(),
        )
        try:
            process = subprocess.Popen(  # noqa: S603 - the command is ours
                self._command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        except OSError as error:
            yield f"its trial could not be started: {error.strerror}"
            return
        with process:
            try:
                assert process.stdin is not None  # noqa: S101 - for the type checker
                with suppress(BrokenPipeError):  # it has died: its exit code says how
                    process.stdin.write(order.model_dump_json().encode())
                    process.stdin.close()
                for version in versions:
                    reason = self._watch(process, seconds, version)
                    yield reason
                    if reason:
                        break
            finally:
                process.kill()

    def _watch(self, process: subprocess.Popen[bytes], seconds: float, version: VersionKey) -> str:
        """Wait for the next version. Returns why it must not be loaded."""
        output = process.stdout
        assert output is not None  # noqa: S101 - for the type checker
        poll = select.poll()  # `select.select` takes no descriptors above 1023
        poll.register(output, select.POLLIN)
        deadline = monotonic() + seconds
        while not poll.poll(_POLL_MILLISECONDS):
            if monotonic() > deadline:
                return f"{_TOO_LATE} {seconds:g} s (load_seconds)"
            if _resident_bytes(process.pid) > self._max_bytes:
                return self._describe_memory(version)
        return "" if output.read(1) else f"its trial ended {describe_exit(process.wait())}"

    def _describe_memory(self, version: VersionKey) -> str:
        """Why a version that takes too much memory is not loaded, and what to do."""
        reason = f"its trial took more than {self._max_bytes // _MIB} MiB of memory (load_mib)"
        try:
            size = self._repository.size(*version)
        except DengeError:
            return reason
        enough = _BYTES_OF_FILE_BYTES * size + _BYTES_OF_ANY
        if enough > self._max_bytes:
            return (
                f"{reason}: its files have {size // _MIB} MiB, so set load_mib to {ceil(enough / (1024 * _MIB)) * 1024}"
            )
        return f"{reason}: its files have only {size // _MIB} MiB, so it is a run that takes as much"


def _resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):  # it has ended, or the system has no such file
        return 0

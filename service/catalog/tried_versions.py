"""Which versions have been tried before, so that a start tries only new ones."""

import threading
from pathlib import Path

import structlog
from pydantic import BaseModel, ValidationError

from models.durable_files import replace_file
from models.starter import starter_digests

log = structlog.get_logger()

MAX_REMEMBERED = 10_000


class _Tried(BaseModel, defer_build=True):
    """The content of the file."""

    runtime: str
    digests: list[str]


class TriedVersions:
    """Digests of versions that this release of onnxruntime has loaded, in a file. The starters are among them.

    Args:
        file: created with the first version.
        runtime: the release of onnxruntime: another one may behave differently.
    """

    def __init__(self, file: Path, runtime: str) -> None:
        self._file = file
        self._runtime = runtime
        self._digests: list[str] | None = None
        self._lock = threading.Lock()

    def __contains__(self, digest: str) -> bool:
        with self._lock:
            return digest in self._read()

    def add(self, digest: str) -> None:
        """Remember a version. If the file cannot be written, it is tried again after a restart."""
        with self._lock:
            digests = self._read()
            if digest in digests:
                return
            digests.append(digest)
            kept = _Tried(runtime=self._runtime, digests=digests[-MAX_REMEMBERED:])
            try:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                replace_file(self._file, kept.model_dump_json().encode())
            except OSError as error:
                log.warning("trials_not_remembered", file=str(self._file), reason=error.strerror)

    def _read(self) -> list[str]:
        if self._digests is None:
            self._digests = [*starter_digests()]
            try:
                tried = _Tried.model_validate_json(self._file.read_bytes())
            except FileNotFoundError:
                return self._digests
            except (OSError, ValidationError) as error:
                log.warning("trials_not_read", file=str(self._file), reason=str(error))
                return self._digests
            if tried.runtime == self._runtime:
                self._digests += tried.digests
        return self._digests

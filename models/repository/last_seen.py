"""What was last read of a bucket, in a file: to serve it where the bucket does not answer at the next start."""

import threading
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ValidationError

from models.durable_files import replace_file
from models.repository.files import read_file
from models.repository.rollout import Rollout

_MAX_BYTES = 64 << 20


class SeenModel(NamedTuple):
    """Digests of a model's versions, by number, and its rollout."""

    digests: Mapping[int, str]
    rollout: Rollout


class _Model(BaseModel, defer_build=True):
    digests: dict[int, str] = {}
    rollout: Rollout = Rollout()


class _Content(BaseModel, defer_build=True):
    models: dict[str, _Model] = {}


class LastSeen:
    """Digests and rollouts as they were last read, in memory and in a file. Safe to use from several threads.

    Args:
        file: created with the first change; None for memory only. If it cannot be read or written, it is as if nothing
            had been seen.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._content = _Content() if file is None else _read(file)

    def models(self) -> dict[str, SeenModel]:
        """Everything that was seen, by name of the model."""
        with self._lock:
            return {name: SeenModel(dict(seen.digests), seen.rollout) for name, seen in self._content.models.items()}

    def digest(self, model: str, version: int) -> str | None:
        """The digest of a version; None if it was never seen."""
        with self._lock:
            seen = self._content.models.get(model)
            return None if seen is None else seen.digests.get(version)

    def record_digest(self, model: str, version: int, digest: str) -> None:
        """Remember the digest of a version."""
        with self._lock:
            seen = self._content.models.setdefault(model, _Model())
            if seen.digests.get(version) != digest:
                seen.digests[version] = digest
                self._write()

    def record_rollout(self, model: str, rollout: Rollout) -> None:
        """Remember the rollout of a model."""
        with self._lock:
            seen = self._content.models.setdefault(model, _Model())
            if seen.rollout != rollout:
                seen.rollout = rollout
                self._write()

    def record_versions(self, model: str, versions: Collection[int]) -> None:
        """Forget what does not exist any longer of a model."""
        with self._lock:
            seen = self._content.models.get(model)
            if seen is not None and not seen.digests.keys() <= {*versions}:
                seen.digests = {version: seen.digests[version] for version in seen.digests if version in versions}
                self._write()

    def record_models(self, models: Mapping[str, Collection[int]]) -> None:
        """Forget what does not exist any longer of all models."""
        for name, versions in {**dict.fromkeys(self.models(), ()), **models}.items():
            self.record_versions(name, versions)

    def _write(self) -> None:
        if self._file is None:
            return
        with suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self._file, self._content.model_dump_json(exclude_defaults=True).encode())


def _read(file: Path) -> _Content:
    with suppress(OSError, ValidationError):
        return _Content.model_validate_json(read_file(file, _MAX_BYTES))
    return _Content()

"""Changes which version answers: each change is checked, stored in the repository, and then applied to the catalog.

A version is loaded before anything depends on it, so a version that does not load changes nothing.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from models.errors import InvalidInput, NotReady
from models.repository.rollout import Canary, Rollout
from service.catalog.catalog import Catalog

log = structlog.get_logger()


class Rollouts:
    """The rollouts of all models. The methods read and write files and load models: do not call them on an event loop.

    All raise ModelNotFound and VersionNotFound; NotReady where a version cannot be loaded or the repository cannot be
    written; and InvalidInput where the change contradicts the rollout.

    Args:
        catalog: what is loaded, and the repository that stores the rollouts.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._repository = catalog.repository
        self._change_lock = threading.Lock()

    def get(self, model: str) -> Rollout:
        """The rollout of a model as it is stored."""
        return self._repository.rollout(model)

    def set_canary(self, model: str, canary: Canary | None) -> None:
        """Send a share of the requests that name no version to a version; None ends the canary."""
        version = None if canary is None else canary.version
        self._change(model, version, lambda rollout, default: rollout.with_canary(canary, default))

    def set_shadow(self, model: str, version: int | None) -> None:
        """Compare a version with the default one; None ends the comparison."""
        self._change(model, version, lambda rollout, default: rollout.with_shadow(version, default))

    def promote(self, model: str, version: int | None = None) -> None:
        """Make a version the default; without a number, the canary or else the shadow."""
        if version is None:
            rollout = self._repository.rollout(model)
            version = rollout.shadow if rollout.canary is None else rollout.canary.version
            if version is None:
                raise InvalidInput(f"model '{model}' has no canary or shadow to promote: name a version", "version")
        promoted = version
        self._change(model, promoted, lambda rollout, default: rollout.promoted(promoted, default))

    def roll_back(self, model: str) -> None:
        """Make the previous default the default again."""
        previous = self._repository.rollout(model).rolled_back().default
        self._change(model, previous, lambda rollout, _: rollout.rolled_back())

    def load(self, model: str, version: int) -> None:
        """Load a version, and keep it loaded when newer ones are published."""
        self._change(model, version, lambda rollout, _: rollout.with_loaded(version))

    def unload(self, model: str, version: int) -> None:
        """Unload a version, and do not load it again until asked."""
        self._repository.validate_version(model, version)
        self._change(model, None, lambda rollout, default: rollout.with_unloaded(version, default))

    def prune(self, model: str, keep: int) -> list[int]:
        """Delete old versions, except the newest `keep` and those in use. Returns the deleted versions."""
        with self._change_lock:
            with _write_errors_as_not_ready():
                deleted = self._repository.prune(model, keep)
            self._catalog.load(model)
        log.info("pruned", model=model, deleted=deleted)
        return deleted

    def _change(self, model: str, required: int | None, change: Callable[[Rollout, int], Rollout]) -> None:
        """Store a change and apply it.

        Args:
            model: its name.
            required: the version that must be loaded before.
            change: the new rollout, from the old one and the default version.
        """
        with self._change_lock:
            if required is not None:
                self._catalog.ensure_loaded(model, required)
            with _write_errors_as_not_ready():
                rollout = self._repository.change_rollout(model, change)
            self._catalog.load(model)
        log.info("rollout_changed", model=model, rollout=rollout.model_dump(exclude_defaults=True))


@contextmanager
def _write_errors_as_not_ready() -> Iterator[None]:
    """Raise NotReady in place of an OSError."""
    try:
        yield
    except OSError as error:
        raise NotReady(f"the repository cannot be written: {error.strerror}") from error

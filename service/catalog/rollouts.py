"""Decides which version answers: each decision is checked, kept in the repository, and then done.

A version is loaded before anything depends on it, so that one which does not load changes nothing.
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
    """The decisions about all models. Its methods read and write files, and load models: not for the event loop.

    They raise ModelNotFound and VersionNotFound, NotReady where a version cannot be loaded or the repository cannot be
    written, and InvalidInput where a decision makes no sense.

    Args:
        catalog: what is loaded, and the repository that remembers.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._repository = catalog.repository
        self._deciding = threading.Lock()

    def of(self, model: str) -> tuple[Rollout, list[int]]:
        """What has been decided, and the versions there are."""
        return self._repository.rollout(model), self._repository.versions(model)

    def set_canary(self, model: str, canary: Canary | None) -> None:
        """Send a share of the requests that name no version to this one; None ends it."""
        version = None if canary is None else canary.version
        self._decide(model, version, lambda rollout, answering: rollout.with_canary(canary, answering))

    def set_shadow(self, model: str, version: int | None) -> None:
        """Compare this version with the default one; None ends it."""
        self._decide(model, version, lambda rollout, answering: rollout.with_shadow(version, answering))

    def promote(self, model: str, version: int | None = None) -> None:
        """Make a version the default; without one, the canary or else the shadow."""
        if version is None:
            tried = self._repository.rollout(model)
            version = tried.shadow if tried.canary is None else tried.canary.version
            if version is None:
                raise InvalidInput(f"model '{model}' has no canary or shadow to promote: name a version", "version")
        chosen = version
        self._decide(model, chosen, lambda rollout, answering: rollout.promoted(chosen, answering))

    def roll_back(self, model: str) -> None:
        """Make the default before this one the default again."""
        back = self._repository.rollout(model).rolled_back().default
        self._decide(model, back, lambda rollout, _: rollout.rolled_back())

    def keep(self, model: str, version: int) -> None:
        """Load a version, and keep it loaded however old it gets."""
        self._decide(model, version, lambda rollout, _: rollout.keeping(version))

    def leave_out(self, model: str, version: int) -> None:
        """Unload a version, and do not load it again by itself."""
        self._repository.require(model, version)
        self._decide(model, None, lambda rollout, answering: rollout.leaving_out(version, answering))

    def prune(self, model: str, keep: int) -> list[int]:
        """Delete all but the newest versions and those that `Repository.prune` keeps. Returns the deleted versions."""
        with self._deciding:
            with _writing():
                deleted = self._repository.prune(model, keep)
            self._catalog.load(model)
        log.info("pruned", model=model, deleted=deleted)
        return deleted

    def _decide(self, model: str, needed: int | None, change: Callable[[Rollout, int], Rollout]) -> None:
        with self._deciding:
            if needed is not None:
                self._catalog.try_out(model, needed)
            with _writing():
                decided = self._repository.change_rollout(model, change)
            self._catalog.load(model)
        log.info("rollout", model=model, decided=decided.model_dump(exclude_defaults=True))


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise NotReady(f"the repository cannot be written: {error.strerror}") from error

"""What is loaded in memory now. `models.repository.repository` says what is stored.

The catalog is one mapping of immutable snapshots that is replaced as a whole. A request that has looked up its version
keeps it, with its engine, until the response is sent, whatever is loaded, unloaded, promoted or rolled back meanwhile.
"""

import random
import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import replace

import structlog

from models.errors import (
    BundleError,
    DengeError,
    ModelNotFound,
    NotFound,
    NotReady,
    ProviderUnavailable,
    VersionNotFound,
)
from models.repository.bundle import Bundle
from models.repository.repository import Repository
from models.repository.rollout import Rollout
from models.runtime.engine import Engine
from service.catalog import snapshot
from service.catalog.index import IndexEntry, index_versions
from service.catalog.served_version import ServedVersion
from service.catalog.snapshot import ModelSnapshot
from service.host import memory

log = structlog.get_logger()


class Catalog:
    """Loads, replaces and unloads versions of models.

    Args:
        repository: where the bundles are.
        start: makes the engine of a bundle.
        loaded_versions: how many of a model's newest versions stay loaded, besides those in use.
        publish: called with every change, encoded for `apply_snapshot` of other processes. The change is complete when
            it returns.
        draw: a number from 0 to 1, evenly distributed; drawn for each request that a canary could answer.
    """

    def __init__(
        self,
        repository: Repository,
        start: Callable[[Bundle], Engine],
        loaded_versions: int = 2,
        publish: Callable[[bytes], None] = lambda _snapshot: None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.repository = repository
        self._start = start
        self._loaded_versions = loaded_versions
        self._publish = publish
        self._draw = draw
        self._models: Mapping[str, ModelSnapshot] = {}
        self._change_lock = threading.Lock()

    @property
    def is_ready(self) -> bool:
        """Whether every model has a default version that is loaded."""
        return all(model.default is not None for model in self._models.values())

    def names(self) -> list[str]:
        """Names of the models with a loaded version, sorted."""
        return sorted(name for name, model in self._models.items() if model.loaded)

    def served(self) -> list[ServedVersion]:
        """All loaded versions of all models."""
        return [served for model in self._models.values() for served in model.loaded.values()]

    def versions(self, name: str) -> list[int]:
        """Loaded versions of a model, oldest first.

        Raises:
            ModelNotFound: the repository has no such model.
            NotReady: the model is not loaded.
        """
        return sorted(self._snapshot(name).loaded)

    def get(self, name: str, version: int | None = None) -> ServedVersion:
        """A version of a model; the default one unless a version is named.

        Raises:
            ModelNotFound, VersionNotFound: the repository has no such version.
            NotReady: the version is not loaded.
        """
        model = self._snapshot(name)
        number = model.default if version is None else version
        if number is None:
            raise NotReady(f"model '{name}' is not ready: no version of it could be loaded")
        if served := model.loaded.get(number):
            return served
        if number in model.failed or number in self.repository.versions(name):
            reason = model.failed.get(number, "it is not loaded")
            raise NotReady(f"model '{name}' version {number} is not ready: {reason}")
        raise VersionNotFound(name, number)

    def choose(self, name: str, version: int | None = None) -> ServedVersion:
        """The version that answers a request: the one it names, else the canary or the default.

        Raises:
            ModelNotFound, VersionNotFound: the repository has no such version.
            NotReady: the version is not loaded.
        """
        if version is None:
            model = self._models.get(name)
            if model is not None and model.canary is not None and self._draw() < model.canary_share:
                return model.canary
        return self.get(name, version)

    def is_default(self, served: ServedVersion) -> bool:
        """Whether a version answers requests that name none."""
        model = self._models.get(served.model)
        return model is not None and served.version == model.default

    def shadow_of(self, served: ServedVersion) -> ServedVersion | None:
        """The version to compare with this one; None unless this one is the default and has a shadow."""
        model = self._models.get(served.model)
        return None if model is None or served.version != model.default else model.shadow

    def index(self) -> list[IndexEntry]:
        """Every version in the repository and in memory, by name and version."""
        stored = {name: self.repository.versions(name) for name in self.repository.models()}
        return index_versions(stored, self._models)

    def load_all(self) -> None:
        """Load every model of the repository. A model that cannot be loaded is logged, and `index` has the reason.

        Raises:
            ProviderUnavailable: the provider does not work; another one is never used in its place.
        """
        for name in self.repository.models():
            with suppress(NotReady):
                self.load(name)

    def load(self, name: str) -> None:
        """Bring a model up to date with the repository: load new versions, then drop those no longer needed.

        Raises:
            ModelNotFound: the repository has no such model.
            NotReady: none of its versions can be loaded; the loaded ones stay.
            ProviderUnavailable: the provider does not work.
        """
        with self._change_lock:
            versions = self.repository.versions(name)
            current = self._models.get(name, ModelSnapshot())
            try:
                rollout = self.repository.rollout(name)
            except BundleError as error:
                log.error("load_failed", model=name, error=str(error), exc_info=error.__cause__)
                self._replace(name, replace(current, failed={versions[-1]: str(error)}))
                raise NotReady(f"failed to load '{name}': {error}") from error
            loaded, errors = self._load_versions(
                name, sorted(rollout.versions_to_load(versions, self._loaded_versions)), current
            )
            for reason in errors.values():
                if isinstance(reason, ProviderUnavailable):
                    raise reason
            failed = {version: str(error) for version, error in errors.items()}
            default = _default(rollout, versions[-1], current, loaded)
            if default is None:
                # A good version is never replaced by bad ones.
                self._replace(name, replace(current, failed=failed))
                reasons = "; ".join(f"version {version}: {reason}" for version, reason in failed.items())
                raise NotReady(f"failed to load '{name}', {reasons}")
            canary = rollout.canary
            self._replace(
                name,
                ModelSnapshot(
                    default,
                    loaded,
                    failed,
                    canary=None if canary is None else loaded.get(canary.version),
                    canary_share=0.0 if canary is None else canary.share,
                    shadow=None if rollout.shadow is None else loaded.get(rollout.shadow),
                ),
            )

    def ensure_loaded(self, name: str, version: int) -> None:
        """Load a version unless it is loaded.

        Raises:
            ModelNotFound, VersionNotFound: the repository has no such version.
            NotReady: it cannot be loaded.
            ProviderUnavailable: the provider does not work.
        """
        with self._change_lock:
            current = self._models.get(name, ModelSnapshot())
            if version in current.loaded:
                return
            try:
                served = self._load_version(name, version)
            except (NotFound, ProviderUnavailable):
                raise
            except DengeError as error:
                raise NotReady(f"model '{name}' version {version} cannot be loaded: {error}") from error
            self._replace(name, replace(current, loaded={**current.loaded, version: served}))

    def unload(self, name: str) -> None:
        """Stop serving a model. Requests in flight are still answered.

        Raises:
            ModelNotFound: the repository has no such model.
            NotReady: the model is not loaded.
        """
        with self._change_lock:
            self._snapshot(name)
            self._replace_all({other: model for other, model in self._models.items() if other != name})
        log.info("unloaded", model=name)

    def apply_snapshot(self, payload: bytes) -> None:
        """Serve what another process's catalog serves: load its versions, then drop all others.

        Args:
            payload: what that catalog has published.

        Raises:
            NotReady: some versions cannot be loaded here; the others are served.
        """
        failures: list[str] = []
        with self._change_lock:
            models: dict[str, ModelSnapshot] = {}
            for name, published in snapshot.from_bytes(payload).items():
                current = self._models.get(name, ModelSnapshot())
                loaded, errors = self._load_versions(name, published.loaded, current)
                models[name] = published.restore(loaded, {version: str(error) for version, error in errors.items()})
                failures += [f"'{name}' version {version}: {error}" for version, error in errors.items()]
            self._replace_all(models)
        if failures:
            raise NotReady(f"failed to load {'; '.join(failures)}")

    def _snapshot(self, name: str) -> ModelSnapshot:
        try:
            return self._models[name]
        except KeyError:
            if name in self.repository.models():
                raise NotReady(f"model '{name}' is not ready: it is not loaded") from None
            raise ModelNotFound(name) from None

    def _load_versions(
        self, name: str, versions: Collection[int], current: ModelSnapshot
    ) -> tuple[dict[int, ServedVersion], dict[int, DengeError]]:
        """The versions that are loaded already or can be loaded, and the errors of the others."""
        loaded: dict[int, ServedVersion] = {}
        failed: dict[int, DengeError] = {}
        for version in versions:
            try:
                loaded[version] = current.loaded.get(version) or self._load_version(name, version)
            except DengeError as error:
                log.error("load_failed", model=name, version=version, error=str(error), exc_info=error.__cause__)
                failed[version] = error
        return loaded, failed

    def _load_version(self, name: str, version: int) -> ServedVersion:
        bundle = self.repository.read(name, version)
        served = ServedVersion(name, version, bundle.manifest, self._start(bundle))
        del bundle
        memory.release_freed()
        log.info("loaded", model=name, version=version, provider=served.engine.provider)
        return served

    def _replace(self, name: str, model: ModelSnapshot) -> None:
        self._replace_all({**self._models, name: model})

    def _replace_all(self, models: Mapping[str, ModelSnapshot]) -> None:
        self._models = models
        self._publish(snapshot.to_bytes(models))


def _default(rollout: Rollout, newest: int, current: ModelSnapshot, loaded: Mapping[int, ServedVersion]) -> int | None:
    """The version that answers when none is named. A pinned one is replaced only by a version that was the default."""
    if rollout.default is None:
        return newest if newest in loaded else max(loaded, default=None)
    if rollout.default in loaded:
        return rollout.default
    before = [version for version in (*rollout.previous, current.default) if version in loaded]
    return before[-1] if before else None

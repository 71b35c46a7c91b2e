"""What is loaded in memory now, and how that changes. `models.repository.repository` says what is stored."""

import random
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType

import structlog

from models.errors import BundleError, DengeError, NotReady, ProviderUnavailable
from models.repository.bundle import ServedBundle
from models.repository.listing import ModelListing
from models.repository.repository import Repository
from models.repository.rollout import Rollout
from models.runtime.engine import Engine
from service.catalog import snapshot
from service.catalog.index import IndexEntry, index_versions
from service.catalog.loader import Loader, Trials, VersionKey, as_completed, trust
from service.catalog.lookups import Lookups
from service.catalog.served_version import ServedVersion
from service.catalog.snapshot import ModelSnapshot, PublishedSnapshot
from service.host.named_locks import NamedLocks

log = structlog.get_logger()

MAX_LOADING = 4
"""Models that are loaded together at the start, where there are as many cores: each takes the memory of its bundle."""


class Catalog(Lookups):
    """Loads, replaces and unloads versions of models.

    These methods wait on disks and locks: do not call them on an event loop. Lookups do not wait.

    Args:
        repository: where the bundles are.
        start: makes the engine of a bundle.
        loaded_versions: how many of a model's newest versions stay loaded, besides those in use.
        draw: a number from 0 to 1, evenly distributed; drawn for each request that a canary could answer.
        trials: start the trials of versions that are to be loaded.
        on_loaded: called with every version that has been loaded, before it is served.
        cores: that the process may use.
    """

    def __init__(
        self,
        repository: Repository,
        start: Callable[[ServedBundle], Engine],
        loaded_versions: int = 2,
        draw: Callable[[], float] = random.random,
        trials: Trials = trust,
        on_loaded: Callable[[ServedVersion], object] = lambda _served: None,
        cores: int = 1,
    ) -> None:
        super().__init__(draw)
        self.repository = repository
        self._loader = Loader(repository, start, trials, on_loaded)
        self._loaded_versions = loaded_versions
        self._threads = min(cores, MAX_LOADING)
        self._changes = NamedLocks("model")
        self._replacing = threading.Lock()
        self._applying = threading.Lock()

    def index(self) -> list[IndexEntry]:
        """Every version in the repository and in memory, by name and version.

        Raises:
            StorageError: the repository cannot be read.
        """
        self._remember(self.repository.listing())
        return index_versions(self._models)

    def load_all(self) -> None:
        """Load every model of the repository. What cannot be loaded is logged, and `index` has the reason.

        Raises:
            StorageError: the repository cannot be read.
            ProviderUnavailable: the provider does not work; another one is never used in its place.
        """
        listing = self.want_all()
        wanted: dict[str, list[VersionKey]] = {name: [] for name in listing}
        for name, found in listing.items():
            with suppress(DengeError):  # raised again when the model is loaded
                to_load = self._to_load(self.repository.rollout(name), found.versions)
                wanted[name] = [(name, version) for version in to_load]
        trials = self._loader.start_trials([key for keys in wanted.values() for key in keys])
        tried = as_completed({name: [trials[key] for key in keys] for name, keys in wanted.items()})
        with ThreadPoolExecutor(self._threads, "load") as threads:
            for loading in [threads.submit(self._load_wanted, name, trials) for name in tried]:
                loading.result()

    def want_all(self) -> Mapping[str, ModelListing]:
        """Note that every model of the repository is to be served, and return what the repository has.

        Raises:
            StorageError: the repository cannot be read.
        """
        listing = self.repository.listing()
        self._remember(listing, are_wanted=True)
        return listing

    def load_last_seen(self) -> list[str]:
        """Load what is known here of a repository that does not answer, and return the names of these models."""
        seen = self.repository.last_seen()
        for name, stored in seen.items():
            with suppress(DengeError), self._changes.held(name):
                loaded, errors = self._loader.load(name, self._to_load(stored.rollout, stored.versions), {})
                self._serve(name, stored.rollout, stored.versions, loaded, _reasons(errors))
        self._is_known = bool(seen)
        return [name for name in seen if self._current(name).loaded]

    def load(self, name: str) -> None:
        """Bring a model up to date with the repository: load new versions, then drop those no longer needed.

        All or nothing: where one of the versions cannot be loaded, what was served is served on.

        Raises:
            ModelNotFound: the repository has no such model.
            NotReady: a version cannot be loaded.
            ProviderUnavailable: the provider does not work.
        """
        self.repository.versions(name)
        with self._changes.held(name):
            versions, rollout = self._read(name)
            current = self._current(name)
            loaded, errors = self._loader.load(name, self._to_load(rollout, versions), current.loaded)
            if errors:
                failed = {**current.failed, **_reasons(errors)}
                self._replace(name, replace(current, failed=failed, stored=versions))
                raise _load_error(name, _reasons(errors))
            self._serve(name, rollout, versions, loaded, {})

    def refresh(self, name: str, prepared: Sequence[ServedVersion] = ()) -> None:
        """Serve what the repository says, as far as it can be loaded. What has failed before is not tried again.

        Args:
            name: of the model.
            prepared: versions that are loaded, from `prepare`.

        Raises:
            ModelNotFound: the repository has no such model.
            NotReady: none of its versions can be loaded; the loaded ones stay.
            ProviderUnavailable: the provider does not work.
        """
        self.repository.versions(name)
        with self._changes.held(name):
            self._refresh(name, prepared, failed_before=self._current(name).failed)

    def prepare(self, name: str, versions: Sequence[int]) -> list[ServedVersion]:
        """Versions that are ready to run, for `refresh`. Nothing is served that was not before.

        Raises:
            ModelNotFound, VersionNotFound: the repository has no such version.
            NotReady: one cannot be loaded.
            ProviderUnavailable: the provider does not work.
        """
        for version in versions:
            self.repository.validate_version(name, version)
        loaded, errors = self._loader.load(name, versions, self._current(name).loaded)
        if errors:
            raise _load_error(name, _reasons(errors))
        return [loaded[version] for version in versions]

    def unload(self, name: str) -> None:
        """Stop serving a model, if it is served. Requests in flight are still answered.

        Raises:
            ModelNotFound: there is no such model.
        """
        if name not in self._models:
            self.repository.versions(name)
        with self._changes.held(name):
            current = self._current(name)
            self._replace(name, ModelSnapshot(stored=current.stored, unusable=current.unusable))
        log.info("unloaded", model=name)

    def apply_snapshots(self, published_models: Mapping[str, PublishedSnapshot]) -> None:
        """Serve what another process's catalog serves: load its versions, then drop all others.

        Args:
            published_models: all models of that catalog, by name.

        Raises:
            NotReady: some versions cannot be loaded here; the others are served.
        """
        failures: list[str] = []
        models: dict[str, ModelSnapshot] = {}
        with self._applying:  # a later catalog is never replaced by an earlier one that took longer
            for name, published in published_models.items():
                loaded, errors = self._loader.load(name, published.loaded, self._current(name).loaded)
                models[name] = published.restore(loaded, _reasons(errors))
                failures += [f"'{name}' version {version}: {error}" for version, error in errors.items()]
            with self._replacing:
                self._models = models
                self._is_known = True
        if failures:
            raise NotReady(f"failed to load {'; '.join(failures)}")

    def _load_wanted(self, name: str, trials: Mapping[VersionKey, "Future[str]"]) -> None:
        try:
            with self._changes.held(name):
                if self._current(name).is_wanted:  # not unloaded meanwhile
                    self._refresh(name, trials=trials)
        except ProviderUnavailable:
            raise
        except DengeError as error:
            log.error("model_not_loaded", model=name, error=str(error))

    def _current(self, name: str) -> ModelSnapshot:
        return self._models.get(name, ModelSnapshot())

    def _read(self, name: str) -> tuple[tuple[int, ...], Rollout]:
        """Versions and rollout of a model. A rollout that cannot be read is why the newest version is not served."""
        versions = tuple(self.repository.versions(name))
        try:
            return versions, self.repository.rollout(name)
        except BundleError as error:
            log.error("load_failed", model=name, error=str(error), exc_info=error.__cause__)
            self._replace(name, replace(self._current(name), failed={versions[-1]: str(error)}, stored=versions))
            raise NotReady(f"failed to load '{name}': {error}") from error

    def _to_load(self, rollout: Rollout, versions: Sequence[int]) -> list[int]:
        return sorted(rollout.versions_to_load(list(versions), self._loaded_versions))

    def _refresh(
        self,
        name: str,
        prepared: Sequence[ServedVersion] = (),
        failed_before: Mapping[int, str] = MappingProxyType({}),
        trials: Mapping[VersionKey, "Future[str]"] = MappingProxyType({}),
    ) -> None:
        versions, rollout = self._read(name)
        ready = {**self._current(name).loaded, **{served.version: served for served in prepared}}
        wanted = self._to_load(rollout, versions)
        failed = {version: failed_before[version] for version in wanted if version in failed_before.keys() - ready}
        loaded, errors = self._loader.load(
            name, [version for version in wanted if version not in failed], ready, trials
        )
        self._serve(name, rollout, versions, loaded, failed | _reasons(errors))

    def _serve(
        self,
        name: str,
        rollout: Rollout,
        versions: tuple[int, ...],
        loaded: Mapping[int, ServedVersion],
        failed: Mapping[int, str],
    ) -> None:
        """Replace what is served of a model.

        Raises:
            NotReady: no version can be the default. A good version is never replaced by bad ones.
        """
        current = self._current(name)
        following = snapshot.follow(rollout, versions, current, loaded, failed)
        if following is None:
            self._replace(name, replace(current, failed=failed, stored=versions))
            raise _load_error(name, failed)
        self._replace(name, following)

    def _remember(self, listing: Mapping[str, ModelListing], *, are_wanted: bool = False) -> None:
        """Keep what a listing of the repository has found."""
        with self._replacing:
            models = snapshot.remember(self._models, listing, are_wanted=are_wanted)
            if models != self._models:
                self._models = models
            self._is_known = True

    def _replace(self, name: str, model: ModelSnapshot) -> None:
        with self._replacing:
            self._models = {**self._models, name: model}


def _reasons(errors: Mapping[int, DengeError]) -> dict[int, str]:
    return {version: str(error) for version, error in errors.items()}


def _load_error(name: str, reasons: Mapping[int, str]) -> NotReady:
    listed = "; ".join(f"version {version}: {reason}" for version, reason in reasons.items())
    return NotReady(f"failed to load '{name}', {listed or 'no version of it is to be loaded'}")

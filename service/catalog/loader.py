"""From versions in the repository to versions that are ready to run."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from types import MappingProxyType

import structlog

from models.errors import DengeError, NotReady, ProviderUnavailable
from models.repository.bundle import ServedBundle
from models.repository.repository import Repository
from models.runtime.engine import Engine
from service.catalog.served_version import ServedVersion
from service.host.memory import reusing_all_freed

log = structlog.get_logger()

VersionKey = tuple[str, int]
"""Model and version."""

Trials = Callable[[Sequence[VersionKey]], Mapping[VersionKey, "Future[str]"]]
"""Starts to try versions in another process: why each of them must not be loaded here, or an empty text."""


def trust(versions: Sequence[VersionKey]) -> Mapping[VersionKey, "Future[str]"]:
    """Try nothing: the versions are known to load."""
    outcomes: dict[VersionKey, Future[str]] = {key: Future() for key in versions}
    for outcome in outcomes.values():
        outcome.set_result("")
    return outcomes


def as_completed(trials: Mapping[str, Sequence["Future[str]"]]) -> Iterator[str]:
    """Names, each when all of its trials have ended."""
    left = dict(trials)
    while left:
        for name in [name for name, each in left.items() if all(trial.done() for trial in each)]:
            del left[name]
            yield name
        wait([trial for each in left.values() for trial in each if not trial.done()], return_when=FIRST_COMPLETED)


class Loader:
    """Loads versions, each after its trial.

    Args:
        repository: where the bundles are.
        start: makes the engine of a bundle.
        trials: start the trials of versions.
        on_loaded: called with every version that has been loaded, before it is served.
    """

    def __init__(
        self,
        repository: Repository,
        start: Callable[[ServedBundle], Engine],
        trials: Trials,
        on_loaded: Callable[[ServedVersion], object],
    ) -> None:
        self._repository = repository
        self._start = start
        self._on_loaded = on_loaded
        self.start_trials = trials

    def load(
        self,
        name: str,
        versions: Collection[int],
        loaded: Mapping[int, ServedVersion],
        trials: Mapping[VersionKey, "Future[str]"] = MappingProxyType({}),
    ) -> tuple[dict[int, ServedVersion], dict[int, DengeError]]:
        """The versions that are loaded already or can be loaded, and the errors of the others.

        Args:
            name: of the model.
            versions: to load.
            loaded: those that need not be loaded.
            trials: of versions that must be loaded; those that are absent are started here.

        Raises:
            ProviderUnavailable: the provider does not work.
        """
        missing = [(name, version) for version in versions if version not in loaded]
        trials = {**trials, **self.start_trials([key for key in missing if key not in trials])}
        found: dict[int, ServedVersion] = {}
        errors: dict[int, DengeError] = {}
        for version in versions:
            try:
                found[version] = loaded.get(version) or self._load(name, version, trials[name, version].result())
            except ProviderUnavailable:
                raise
            except DengeError as error:
                log.error("load_failed", model=name, version=version, error=str(error), exc_info=error.__cause__)
                errors[version] = error
        return found, errors

    def _load(self, name: str, version: int, reason_against: str) -> ServedVersion:
        if reason_against:
            raise NotReady(reason_against)
        with reusing_all_freed():
            bundle = self._repository.read_served(name, version)
            served = ServedVersion(name, version, bundle.manifest, self._start(bundle))
            del bundle
        self._on_loaded(served)
        log.info("loaded", model=name, version=version, provider=served.engine.provider)
        return served

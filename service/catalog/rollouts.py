"""Changes which version answers: each change is checked, stored in the repository, and then applied to the catalog.

A version is loaded before anything depends on it, and served only after that: what is refused changes nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import structlog

from models.errors import DengeError, InvalidInput, StorageError
from models.recalibration.domains import calibrate_domains
from models.repository.auto import AutoLimits
from models.repository.rollout import Canary, Rollout
from service.catalog.catalog import Catalog
from service.host.named_locks import NamedLocks

log = structlog.get_logger()


class RolloutChanged(DengeError):
    """Something else was first to change a rollout."""


class Rollouts:
    """The rollouts of all models. The methods read and write files and load models: do not call them on an event loop.

    All raise ModelNotFound and VersionNotFound; NotReady where a version cannot be loaded; StorageError where the
    repository cannot be written or is locked; and InvalidInput where the change contradicts the rollout.

    Args:
        catalog: what is loaded, and the repository that stores the rollouts.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._repository = catalog.repository
        self._changes = NamedLocks("the rollout of model")

    def get(self, model: str) -> Rollout:
        """The rollout of a model as it is stored."""
        return self._repository.rollout(model)

    def set_canary(self, model: str, canary: Canary | None) -> None:
        """Send a share of the requests that name no version to a version; None ends the canary."""
        versions = [] if canary is None else [canary.version]
        self._change(model, versions, lambda rollout, default: rollout.with_canary(canary, default))

    def set_shadow(self, model: str, version: int | None) -> None:
        """Compare a version with the default one; None ends the comparison."""
        versions = [] if version is None else [version]
        self._change(model, versions, lambda rollout, default: rollout.with_shadow(version, default))

    def set_domains(self, model: str, versions: Sequence[int]) -> None:
        """Let versions answer the rows that fit their statistics, by margins from the default version's held-out rows.

        Args:
            model: its name.
            versions: at least one, each re-calibrated from the default version.
        """
        for version in versions:
            self._repository.validate_version(model, version)
        parent = self._repository.default_version(model)
        self._repository.rollout(model).with_domains((), parent, parent)  # may refuse it, before reading bundles
        bundles = {version: self._repository.read_served(model, version) for version in versions}
        domains = calibrate_domains(self._repository.read_served(model, parent), parent, bundles)
        self._change(model, versions, lambda rollout, default: rollout.with_domains(domains, parent, default))

    def end_domains(self, model: str) -> None:
        """Let the default version answer all rows that name no version."""
        self._change(model, [], lambda rollout, _: rollout.without_domains())

    def set_label(self, model: str, label: str, version: int) -> None:
        """Give a version a label, in place of the version that has it."""
        self._change(model, [version], lambda rollout, _: rollout.with_label(label, version))

    def remove_label(self, model: str, label: str) -> None:
        """Take a label away."""
        self._change(model, [], lambda rollout, _: rollout.without_label(label))

    def promote(self, model: str, version: int | None = None) -> None:
        """Make a version the default; without a number, the canary or else the shadow."""
        if version is None:
            rollout = self._repository.rollout(model)
            version = rollout.shadow if rollout.canary is None else rollout.canary.version
            if version is None:
                raise InvalidInput(f"model '{model}' has no canary or shadow to promote: name a version", "version")
        promoted = version
        self._change(model, [promoted], lambda rollout, default: rollout.promoted(promoted, default))

    def roll_back(self, model: str) -> None:
        """Make the previous default the default again."""
        previous = self._repository.rollout(model).rolled_back().default
        self._change(model, [] if previous is None else [previous], lambda rollout, _: rollout.rolled_back())

    def start_auto(self, model: str, limits: AutoLimits, now: float) -> None:
        """Switch `auto` mode on, from the version that the default one was trained as; or change its limits.

        Args:
            model: its name.
            limits: what it may do.
            now: seconds since 1970.
        """
        served = self._repository.default_version(model)
        base = self._repository.trained_version(model, served)
        self._change(model, [base], lambda rollout, default: rollout.with_auto_started(limits, base, default, now))

    def stop_auto(self, model: str) -> None:
        """Switch `auto` mode off. The default version stays; the shadow or canary of `auto` mode ends."""
        self._change(model, [], lambda rollout, _: rollout.without_auto())

    def take_step(self, model: str, before: Rollout, after: Rollout) -> None:
        """Store a step of `auto` mode, unless anything else has changed.

        Args:
            model: its name.
            before: what the step follows.
            after: with the step.

        Raises:
            RolloutChanged: something has.
        """

        def change(rollout: Rollout, _default: int) -> Rollout:
            if rollout != before:
                raise RolloutChanged(f"the rollout of model '{model}' was changed meanwhile")
            return after

        canary = None if after.canary is None else after.canary.version
        tried = canary or after.shadow or after.default
        self._change(model, [] if tried is None else [tried], change)

    def load(self, model: str, version: int) -> None:
        """Load a version, and keep it loaded when newer ones are published."""
        self._change(model, [version], lambda rollout, _: rollout.with_loaded(version))

    def unload(self, model: str, version: int) -> None:
        """Unload a version, and do not load it again until asked."""
        self._repository.validate_version(model, version)
        self._change(model, [], lambda rollout, default: rollout.with_unloaded(version, default))

    def prune(self, model: str, keep: int) -> list[int]:
        """Delete old versions, except the newest `keep` and those in use. Returns the deleted versions."""
        self._repository.versions(model)
        with self._changes.held(model):
            with _errors_in_words():
                deleted = self._repository.prune(model, keep)
            self._catalog.refresh(model)
        log.info("pruned", model=model, deleted=deleted)
        return deleted

    def _change(self, model: str, required: Sequence[int], change: Callable[[Rollout, int], Rollout]) -> None:
        """Store a change and apply it.

        Args:
            model: its name.
            required: versions that must be loaded before.
            change: the new rollout, from the old one and the default version.
        """
        change(self._repository.rollout(model), self._repository.default_version(model))  # may refuse it
        with self._changes.held(model):
            prepared = self._catalog.prepare(model, required)
            with _errors_in_words():
                rollout = self._repository.change_rollout(model, change)
            self._catalog.refresh(model, prepared)
        log.info("rollout_changed", model=model, rollout=rollout.model_dump(exclude_defaults=True, exclude={"auto"}))


@contextmanager
def _errors_in_words() -> Iterator[None]:
    """Raise StorageError in place of an OSError."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"the repository cannot be written: {error.strerror}") from error

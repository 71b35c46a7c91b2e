"""What is loaded of one model at one moment, and the form in which other processes receive it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from models.repository.listing import ModelListing
from models.repository.rollout import Domain, Rollout
from service.catalog.served_domains import ServedDomains
from service.catalog.served_version import ServedVersion


@dataclass(frozen=True)
class ModelSnapshot:
    """One model as the catalog serves it. Immutable: a change replaces the whole snapshot.

    Attributes:
        default: answers requests that name no version, except the canary's share; None while none can.
        loaded: the versions that are ready to run, by number.
        failed: why other versions could not be loaded, by number.
        canary: answers `canary_share` of the requests that name no version.
        canary_share: from 0 to 1.
        shadow: runs on the default's inputs; its outputs are compared with the default's.
        domains: versions that answer the rows which fit them, in place of the default; None: there are none.
        stored: the versions in the repository when it was last listed, oldest first.
        unusable: why other folders are no versions, by name; the model's own folder has the name "".
        is_wanted: whether the model is to be served: it was loaded, or tried at the start, and not unloaded since.
        labels: versions that clients may name in another way.
        is_auto: whether `auto` mode is on.
    """

    default: int | None = None
    loaded: Mapping[int, ServedVersion] = field(default_factory=dict)
    failed: Mapping[int, str] = field(default_factory=dict)
    canary: ServedVersion | None = None
    canary_share: float = 0.0
    shadow: ServedVersion | None = None
    domains: ServedDomains | None = None
    stored: tuple[int, ...] = ()
    unusable: Mapping[str, str] = field(default_factory=dict)
    is_wanted: bool = False
    labels: Mapping[str, int] = field(default_factory=dict)
    is_auto: bool = False

    def to_published(self) -> "PublishedSnapshot":
        """The snapshot without its engines, for other processes."""
        return PublishedSnapshot(
            default=self.default,
            loaded=sorted(self.loaded),
            failed=dict(self.failed),
            canary=None if self.canary is None else self.canary.version,
            canary_share=self.canary_share,
            shadow=None if self.shadow is None else self.shadow.version,
            stored=self.stored,
            is_wanted=self.is_wanted,
            labels=dict(self.labels),
            is_auto=self.is_auto,
            domains=() if self.domains is None else self.domains.published,
        )


@dataclass(frozen=True)
class PublishedSnapshot:
    """A `ModelSnapshot` with version numbers in place of loaded versions."""

    default: int | None
    loaded: list[int]
    failed: dict[int, str]
    canary: int | None
    canary_share: float
    shadow: int | None
    stored: tuple[int, ...]
    is_wanted: bool
    labels: dict[str, int]
    is_auto: bool = False
    domains: tuple[Domain, ...] = ()

    def restore(self, loaded: Mapping[int, ServedVersion], failed: Mapping[int, str]) -> ModelSnapshot:
        """The snapshot in this process, which has tried to load its versions.

        Args:
            loaded: those that could be loaded.
            failed: why the others could not.
        """
        return ModelSnapshot(
            default=self.default,
            loaded=loaded,
            failed={**self.failed, **failed},
            canary=None if self.canary is None else loaded.get(self.canary),
            canary_share=self.canary_share,
            shadow=None if self.shadow is None else loaded.get(self.shadow),
            domains=None if self.default is None else ServedDomains.of(self.default, self.domains, loaded),
            stored=self.stored,
            is_wanted=self.is_wanted,
            labels=self.labels,
            is_auto=self.is_auto,
        )


def publish(models: Mapping[str, ModelSnapshot]) -> dict[str, PublishedSnapshot]:
    """Returns the snapshots of all models without their engines, by name."""
    return {name: model.to_published() for name, model in models.items()}


def choose_default(
    rollout: Rollout, newest: int, current: ModelSnapshot, loaded: Mapping[int, ServedVersion]
) -> int | None:
    """The version that answers when none is named. A pinned one is replaced only by a version that was the default."""
    if rollout.default is None:
        return newest if newest in loaded else max(loaded, default=None)
    if rollout.default in loaded:
        return rollout.default
    before = [version for version in (*rollout.previous, current.default) if version in loaded]
    return before[-1] if before else None


def follow(
    rollout: Rollout,
    versions: Sequence[int],
    current: ModelSnapshot,
    loaded: Mapping[int, ServedVersion],
    failed: Mapping[int, str],
) -> ModelSnapshot | None:
    """Returns what is served of a model as its rollout says; None where no version can be the default.

    Args:
        rollout: which version has which role.
        versions: in the repository, oldest first.
        current: what is served so far.
        loaded: the versions that are ready to run.
        failed: why other versions could not be loaded.
    """
    default = choose_default(rollout, versions[-1], current, loaded)
    if default is None:
        return None
    canary = rollout.canary
    return ModelSnapshot(
        default,
        loaded,
        failed,
        canary=None if canary is None else loaded.get(canary.version),
        canary_share=0.0 if canary is None else canary.share,
        shadow=None if rollout.shadow is None else loaded.get(rollout.shadow),
        domains=ServedDomains.of(default, rollout.domains, loaded) if default == rollout.default else None,
        labels=rollout.labels,
        is_auto=rollout.auto is not None,
        stored=tuple(versions),
        unusable=current.unusable,
        is_wanted=True,
    )


def remember(
    models: Mapping[str, ModelSnapshot], listing: Mapping[str, ModelListing], *, are_wanted: bool
) -> dict[str, ModelSnapshot]:
    """Returns the snapshots with what a listing of the repository has found.

    A model that is in the repository no longer is served until it is unloaded.

    Args:
        models: so far, by name.
        listing: of the repository, by name.
        are_wanted: whether all of its models are to be served.
    """
    found = {}
    for name, listed in listing.items():
        model = models.get(name, ModelSnapshot())
        is_wanted = are_wanted or model.is_wanted
        found[name] = replace(model, stored=listed.versions, unusable=listed.unusable, is_wanted=is_wanted)
    gone = {name: replace(model, stored=()) for name, model in models.items() if name not in listing and model.loaded}
    return found | gone

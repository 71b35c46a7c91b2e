"""What has been decided about the versions of a model: an immutable value that the repository stores.

Until something is decided, the newest version is the default: it answers the requests that name no version.
"""

import re

from pydantic import Field, ValidationError

from models.errors import BundleError, InvalidInput, NotFound
from models.manifest import Record
from models.repository.auto import Auto, AutoLimits

ROLLOUT = "rollout.json"
MAX_ROLLOUT_BYTES = 1 << 20

_MAX_PREVIOUS = 16
"""Earlier defaults that are remembered for rolling back."""

STABLE, CANARY = "stable", "canary"
RESERVED_LABELS = frozenset({STABLE, CANARY})
"""Labels of the default version and of the canary."""

LABEL = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,62}")

_MAX_LABELS = 32
"""Every version with a label stays loaded."""


class Canary(Record):
    """A version that answers some of the requests that name none."""

    version: int = Field(gt=0)
    share: float = Field(gt=0, le=1, description="of the requests that name no version")


class Domain(Record):
    """A version that answers the rows which fit its statistics."""

    version: int = Field(gt=0)
    margin: float = Field(
        ge=0, description="that a row's score has to exceed: few of the default version's held-out rows do"
    )


class Rollout(Record):
    """The default version of a model, its canary and shadow, and which versions are loaded besides the newest.

    Methods return another rollout. Those that take `default` need the present default version, chosen or the newest.
    """

    default: int | None = Field(
        default=None, description="the version that answers requests which name none; null: the newest"
    )
    previous: tuple[int, ...] = Field(default=(), description="earlier defaults, the latest last")
    canary: Canary | None = None
    shadow: int | None = Field(
        default=None, description="runs on the default version's inputs, and is compared with it"
    )
    domains: tuple[Domain, ...] = Field(
        default=(), description="versions that answer the rows which fit them, in place of the default one"
    )
    loaded: tuple[int, ...] = Field(default=(), description="versions loaded on request, however old")
    unloaded: tuple[int, ...] = Field(default=(), description="versions unloaded on request, however new")
    labels: dict[str, int] = Field(default={}, description="versions that clients may name in another way")
    auto: Auto | None = Field(default=None, description="continual re-calibration; null: off")

    @property
    def in_use(self) -> set[int]:
        """Versions that are neither unloaded nor deleted."""
        canary = None if self.canary is None else self.canary.version
        own = () if self.auto is None else (self.auto.base, self.auto.candidate)
        domains = (domain.version for domain in self.domains)
        named = (self.default, canary, self.shadow, *domains, *self.labels.values(), *own)
        return {version for version in named if version is not None}

    def versions_to_load(self, versions: list[int], newest: int) -> set[int]:
        """The versions to serve.

        Args:
            versions: all that exist, oldest first.
            newest: how many of the newest are loaded unless it is decided otherwise.
        """
        return ({*versions[-newest:], *self.loaded} - {*self.unloaded}) | self.in_use

    def without_missing(self, versions: list[int]) -> "Rollout":
        """Without versions that do not exist. A missing default is replaced by the one before it."""
        previous = [version for version in self.previous if version in versions]
        default = self.default
        if default is not None and default not in versions:
            default = previous.pop() if previous else None
        return self.model_copy(
            update={
                "default": default,
                "previous": tuple(previous),
                "canary": self.canary if self.canary and self.canary.version in versions else None,
                "shadow": self.shadow if self.shadow in versions else None,
                "domains": tuple(
                    domain for domain in self.domains if default == self.default and domain.version in versions
                ),
                "loaded": tuple(version for version in self.loaded if version in versions),
                "unloaded": tuple(version for version in self.unloaded if version in versions),
                "labels": {label: version for label, version in self.labels.items() if version in versions},
                "auto": self.auto if self.auto is not None and self.auto.base in versions else None,
            }
        )

    def with_auto_started(self, limits: AutoLimits, base: int, default: int, now: float) -> "Rollout":
        """With `auto` mode on; where it is on already and has not paused, with other limits.

        Args:
            limits: what it may do.
            base: the version that others are made from.
            default: the present default version; chosen as such.
            now: seconds since 1970.

        Raises:
            InvalidInput: a canary, a shadow or domains are in use.
        """
        if self.auto is not None and self.auto.phase != "paused":
            own, canary = self.auto.candidate, self.canary
            if canary is not None and canary.version == own:
                canary = Canary(version=canary.version, share=limits.canary_share)
            return self.model_copy(update={"canary": canary, "auto": self.auto.model_copy(update={"limits": limits})})
        if self.canary is not None or self.shadow is not None or self.domains:
            raise InvalidInput("the model has a canary, a shadow or domains: end them first", "auto")
        log = () if self.auto is None else self.auto.log
        return self.pinned(default).with_auto(Auto.started(limits, base, default, now, log))

    def without_auto(self) -> "Rollout":
        """With `auto` mode off, and without its own shadow and canary."""
        own = None if self.auto is None else self.auto.candidate
        is_canary = self.canary is not None and self.canary.version == own
        return self.model_copy(
            update={
                "auto": None,
                "shadow": None if self.shadow == own else self.shadow,
                "canary": None if is_canary else self.canary,
            }
        )

    def with_auto(self, auto: Auto | None) -> "Rollout":
        """With another state of `auto` mode; None switches it off."""
        return self.model_copy(update={"auto": auto})

    def pinned(self, default: int) -> "Rollout":
        """With the present default as the chosen one, so that it stays the default when others are published."""
        return self if self.default is not None else self.model_copy(update={"default": default})

    def promoted(self, version: int, default: int) -> "Rollout":
        """With another default version. Canary and domains end, and so does the shadow if it is this version."""
        previous = self.previous if version == default else (*self.previous, default)[-_MAX_PREVIOUS:]
        return self.model_copy(
            update={
                "default": version,
                "previous": previous,
                "canary": None,
                "domains": self.domains if version == default else (),
                "shadow": None if self.shadow == version else self.shadow,
                "unloaded": _without(self.unloaded, version),
            }
        )

    def rolled_back(self) -> "Rollout":
        """With the previous default as the default.

        Raises:
            InvalidInput: there is none.
        """
        if not self.previous:
            raise InvalidInput("there is no earlier default to go back to", "rollback")
        back = self.promoted(self.previous[-1], self.previous[-1])
        return back.model_copy(update={"previous": self.previous[:-1], "domains": ()})

    def with_canary(self, canary: Canary | None, default: int) -> "Rollout":
        """With a share of the requests for a version beside the default; None ends the canary.

        Raises:
            InvalidInput: it is the default, or domains are in use.
        """
        if canary is None:
            return self.model_copy(update={"canary": None})
        if self.domains:
            raise InvalidInput("the model has domains, whose rows a canary would take: end them first", "canary")
        if canary.version == default:
            raise InvalidInput(f"{default} is the default version already", "version")
        return self.pinned(default).model_copy(
            update={"canary": canary, "unloaded": _without(self.unloaded, canary.version)}
        )

    def with_domains(self, domains: tuple[Domain, ...], parent: int, default: int) -> "Rollout":
        """With versions that answer the rows which fit them.

        Args:
            domains: at least one.
            parent: the version that all of them were re-calibrated from.
            default: the present default version.

        Raises:
            InvalidInput: the parent is not the default any more, a canary is in use, or `auto` mode is on.
        """
        if parent != default:
            raise InvalidInput(f"version {default} has become the default meanwhile: set the domains again", "versions")
        if self.canary is not None:
            raise InvalidInput("the model has a canary, which would take rows of the domains: end it first", "versions")
        if self.auto is not None:
            raise InvalidInput("auto mode decides which version answers: switch it off first", "versions")
        versions = {domain.version for domain in domains}
        unloaded = tuple(version for version in self.unloaded if version not in versions)
        return self.pinned(default).model_copy(update={"domains": domains, "unloaded": unloaded})

    def without_domains(self) -> "Rollout":
        """With the default version for all rows."""
        return self.model_copy(update={"domains": ()})

    def with_shadow(self, version: int | None, default: int) -> "Rollout":
        """With a version to compare with the default; None ends the comparison.

        Raises:
            InvalidInput: it is the default.
        """
        if version is None:
            return self.model_copy(update={"shadow": None})
        if version == default:
            raise InvalidInput(f"{default} is the default version: the shadow must be another", "version")
        return self.pinned(default).model_copy(update={"shadow": version, "unloaded": _without(self.unloaded, version)})

    def with_label(self, label: str, version: int) -> "Rollout":
        """With a label for a version, in place of the version that has it.

        Raises:
            InvalidInput: the label has a meaning of its own, is no name, or would be one too many.
        """
        if label in RESERVED_LABELS:
            raise InvalidInput(f"'{label}' follows from the rollout: promote a version, or set the canary", "label")
        if not LABEL.fullmatch(label):
            raise InvalidInput("expected 1 to 63 letters, digits, '.', '_' or '-', the first a letter", "label")
        labels = self.labels | {label: version}
        if len(labels) > _MAX_LABELS:
            raise InvalidInput(f"the model has {_MAX_LABELS} labels already: delete one", "label")
        return self.model_copy(update={"labels": labels, "unloaded": _without(self.unloaded, version)})

    def without_label(self, label: str) -> "Rollout":
        """Without a label.

        Raises:
            NotFound: no version has it.
        """
        if label not in self.labels:
            raise NotFound(f"no version has the label '{label}'")
        return self.model_copy(update={"labels": {name: v for name, v in self.labels.items() if name != label}})

    def with_loaded(self, version: int) -> "Rollout":
        """With a version loaded, however old it gets."""
        return self.model_copy(
            update={"loaded": (*_without(self.loaded, version), version), "unloaded": _without(self.unloaded, version)}
        )

    def with_unloaded(self, version: int, default: int) -> "Rollout":
        """With a version not loaded.

        Raises:
            InvalidInput: it is the default, the canary or the shadow, has a domain or a label, or is needed by `auto`.
        """
        if version in {*self.in_use, default}:
            use = "the default, the canary or the shadow, has a domain or a label, or is needed by auto mode"
            raise InvalidInput(f"{version} is {use}", "version")
        return self.model_copy(
            update={"loaded": _without(self.loaded, version), "unloaded": (*_without(self.unloaded, version), version)}
        )


def serialize(rollout: Rollout) -> bytes:
    """The content of `rollout.json`."""
    return rollout.model_dump_json(exclude_defaults=True).encode()


def parse(data: bytes, model: str) -> Rollout:
    """A rollout from its file.

    Raises:
        BundleError: it is not one. To go on with the newest version instead could be wrong.
    """
    try:
        return Rollout.model_validate_json(data)
    except ValidationError as error:
        raise BundleError(f"{model}/{ROLLOUT} is not a rollout: correct or delete it") from error


def _without(versions: tuple[int, ...], version: int) -> tuple[int, ...]:
    return tuple(other for other in versions if other != version)

"""Which versions of a model answer, and which when none is named: an immutable value that the repository keeps."""

from pydantic import Field

from models.errors import InvalidInput
from models.manifest import Record

_MAX_PREVIOUS = 16
"""Defaults that are remembered to go back to."""


class Canary(Record):
    """A version that answers some of the requests that name none."""

    version: int = Field(gt=0)
    share: float = Field(gt=0, le=1, description="of the requests that name no version")


class Rollout(Record):
    """What has been decided about the versions of one model. Nothing has, at first, and the newest version answers."""

    default: int | None = Field(
        default=None, description="the version that answers when none is named; null: the newest"
    )
    previous: tuple[int, ...] = Field(default=(), description="defaults before this one, the latest last")
    canary: Canary | None = None
    shadow: int | None = Field(
        default=None, description="runs on the default version's inputs, and is compared with it"
    )
    kept: tuple[int, ...] = Field(default=(), description="loaded, however old")
    left_out: tuple[int, ...] = Field(default=(), description="not loaded, however new")

    @property
    def in_use(self) -> set[int]:
        """Versions that are neither unloaded nor deleted."""
        canary = None if self.canary is None else self.canary.version
        return {version for version in (self.default, canary, self.shadow) if version is not None}

    def wanted(self, versions: list[int], newest: int) -> set[int]:
        """The versions to load.

        Args:
            versions: there are, oldest first.
            newest: how many of the newest are loaded.
        """
        return ({*versions[-newest:], *self.kept} - {*self.left_out}) | self.in_use

    def existing(self, versions: list[int]) -> "Rollout":
        """The same without versions that are not there. In place of a default that is gone, the one before it."""
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
                "kept": tuple(version for version in self.kept if version in versions),
                "left_out": tuple(version for version in self.left_out if version in versions),
            }
        )

    def pinned(self, answering: int) -> "Rollout":
        """The version that answers now goes on to, whatever is published."""
        return self if self.default is not None else self.model_copy(update={"default": answering})

    def promoted(self, version: int, answering: int) -> "Rollout":
        """This version answers from now on; what was tried beside the one that did is over.

        Args:
            version: the new default.
            answering: the one until now.
        """
        previous = self.previous if version == answering else (*self.previous, answering)[-_MAX_PREVIOUS:]
        return self.model_copy(
            update={
                "default": version,
                "previous": previous,
                "canary": None,
                "shadow": None if self.shadow == version else self.shadow,
                "left_out": _without(self.left_out, version),
            }
        )

    def rolled_back(self) -> "Rollout":
        """The default before this one answers again.

        Raises:
            InvalidInput: there was none.
        """
        if not self.previous:
            raise InvalidInput("there is no earlier default to go back to", "rollback")
        back = self.promoted(self.previous[-1], self.previous[-1])
        return back.model_copy(update={"previous": self.previous[:-1]})

    def with_canary(self, canary: Canary | None, answering: int) -> "Rollout":
        """A share of the requests for this version; the one that answers stays the default.

        Raises:
            InvalidInput: it is the default already.
        """
        if canary is None:
            return self.model_copy(update={"canary": None})
        if canary.version == answering:
            raise InvalidInput(f"{answering} is the default version already", "version")
        return self.pinned(answering).model_copy(
            update={"canary": canary, "left_out": _without(self.left_out, canary.version)}
        )

    def with_shadow(self, version: int | None, answering: int) -> "Rollout":
        """Compare this version with the one that answers, which stays the default.

        Raises:
            InvalidInput: they are the same.
        """
        if version is None:
            return self.model_copy(update={"shadow": None})
        if version == answering:
            raise InvalidInput(f"{answering} is the default version, and is compared with another", "version")
        return self.pinned(answering).model_copy(
            update={"shadow": version, "left_out": _without(self.left_out, version)}
        )

    def keeping(self, version: int) -> "Rollout":
        """This version is loaded, however old it gets."""
        return self.model_copy(
            update={"kept": (*_without(self.kept, version), version), "left_out": _without(self.left_out, version)}
        )

    def leaving_out(self, version: int, answering: int) -> "Rollout":
        """This version is not loaded.

        Raises:
            InvalidInput: it is the default, the canary or the shadow.
        """
        if version in {*self.in_use, answering}:
            raise InvalidInput(f"{version} is the default, the canary or the shadow", "version")
        return self.model_copy(
            update={"kept": _without(self.kept, version), "left_out": (*_without(self.left_out, version), version)}
        )


def _without(versions: tuple[int, ...], version: int) -> tuple[int, ...]:
    return tuple(other for other in versions if other != version)

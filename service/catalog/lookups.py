"""Which version answers a request: lookups in memory, which touch no disk."""

import random
from collections.abc import Callable, Mapping

from models.errors import ModelNotFound, NotFound, NotReady, VersionNotFound
from models.repository.rollout import CANARY, STABLE
from service.catalog.served_domains import ServedDomains
from service.catalog.served_version import ServedVersion
from service.catalog.snapshot import ModelSnapshot


class Lookups:
    """One mapping of immutable snapshots, which is replaced as a whole.

    A request that has looked up its version keeps it, with its engine, until the response is sent, whatever is loaded,
    unloaded, promoted or rolled back meanwhile. What is said of the repository is what was found there last.

    Args:
        draw: a number from 0 to 1, evenly distributed; drawn for each request that a canary could answer.
    """

    def __init__(self, draw: Callable[[], float] = random.random) -> None:
        self._models: Mapping[str, ModelSnapshot] = {}
        self._is_known = False
        self._draw = draw

    @property
    def is_known(self) -> bool:
        """Whether the repository has been read, so that it is known which models are to be served."""
        return self._is_known

    @property
    def is_ready(self) -> bool:
        """Whether every model that is to be served has a default version that is loaded."""
        return self._is_known and all(model.default is not None for model in self._models.values() if model.is_wanted)

    @property
    def snapshots(self) -> Mapping[str, ModelSnapshot]:
        """What is loaded of each model, by name."""
        return self._models

    def is_wanted(self, name: str) -> bool:
        """Whether a model is to be served."""
        return name in self._models and self._models[name].is_wanted

    def names(self) -> list[str]:
        """Names of the models with a loaded version, sorted."""
        return sorted(name for name, model in self._models.items() if model.loaded)

    def served(self) -> list[ServedVersion]:
        """All loaded versions of all models."""
        return [served for model in self._models.values() for served in model.loaded.values()]

    def versions(self, name: str) -> list[int]:
        """Loaded versions of a model, oldest first.

        Raises:
            ModelNotFound: there is no such model.
            NotReady: the model is not loaded.
        """
        model = self._snapshot(name)
        if not model.loaded:
            raise NotReady(f"model '{name}' is not ready: {_reason(model)}")
        return sorted(model.loaded)

    def get(self, name: str, version: int | None = None) -> ServedVersion:
        """A version of a model; the default one unless a version is named.

        Raises:
            ModelNotFound, VersionNotFound: there is no such version.
            NotReady: the version is not loaded.
        """
        model = self._snapshot(name)
        number = model.default if version is None else version
        if number is None:
            raise NotReady(f"model '{name}' is not ready: {_reason(model)}")
        if served := model.loaded.get(number):
            return served
        if number in model.failed or number in model.stored:
            reason = model.failed.get(number, "it is not loaded")
            raise NotReady(f"model '{name}' version {number} is not ready: {reason}")
        raise VersionNotFound(name, number, sorted(model.loaded))

    def find(self, name: str, version: int) -> ServedVersion | None:
        """A version that is loaded; None where it is not, or does not exist."""
        model = self._models.get(name)
        return None if model is None else model.loaded.get(version)

    def choose(self, name: str, version: int | None = None) -> ServedVersion:
        """The version that answers a request: the one it names, else the canary or the default.

        Raises:
            ModelNotFound, VersionNotFound: there is no such version.
            NotReady: the version is not loaded.
        """
        if version is None:
            model = self._models.get(name)
            if model is not None and model.canary is not None and self._draw() < model.canary_share:
                return model.canary
        return self.get(name, version)

    def domains_of(self, served: ServedVersion) -> ServedDomains | None:
        """The versions that answer rows in place of this one; None unless this one is the default and has some."""
        model = self._models.get(served.model)
        return None if model is None or served.version != model.default else model.domains

    def labelled(self, name: str, label: str) -> int:
        """The number of the version that a label names: `stable` is the default version, `canary` the canary.

        Raises:
            ModelNotFound: there is no such model.
            NotFound: no version has the label.
        """
        model = self._snapshot(name)
        canary = None if model.canary is None else model.canary.version
        version = {**model.labels, STABLE: model.default, CANARY: canary}.get(label)
        if version is None:
            raise NotFound(f"no version of model '{name}' has the label '{label}'")
        return version

    def is_default(self, served: ServedVersion) -> bool:
        """Whether a version answers requests that name none."""
        model = self._models.get(served.model)
        return model is not None and served.version == model.default

    def has_role(self, name: str, version: int) -> bool:
        """Whether a loaded version gets rows that name no version: as the default, canary or shadow, or of a domain."""
        model = self._models.get(name)
        if model is None or version not in model.loaded:
            return False
        domains = () if model.domains is None else model.domains.versions
        others = (model.canary, model.shadow, *domains)
        return version == model.default or any(other is not None and other.version == version for other in others)

    def canary_share(self, served: ServedVersion) -> float | None:
        """The share of the requests that name no version which a canary answers; None for other versions."""
        model = self._models.get(served.model)
        if model is None or model.canary is None or served.version != model.canary.version:
            return None
        return model.canary_share

    def is_shadow(self, served: ServedVersion) -> bool:
        """Whether a version is compared with the default one."""
        model = self._models.get(served.model)
        return model is not None and model.shadow is not None and served.version == model.shadow.version

    def shadow_of(self, served: ServedVersion) -> ServedVersion | None:
        """The version to compare with this one; None unless this one is the default and has a shadow."""
        model = self._models.get(served.model)
        return None if model is None or served.version != model.default else model.shadow

    def _snapshot(self, name: str) -> ModelSnapshot:
        try:
            return self._models[name]
        except KeyError:
            raise ModelNotFound(name, self.names()) from None


def _reason(model: ModelSnapshot) -> str:
    """Why no version of a model answers."""
    if reason := model.unusable.get(""):
        return reason
    if model.failed:
        return "; ".join(f"version {version}: {reason}" for version, reason in model.failed.items())
    return "it is being loaded" if model.is_wanted else "it is not loaded"

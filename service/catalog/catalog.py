"""What is loaded in memory now. `models.repository.repository` says what is on disk.

The catalog is one mapping that is replaced, never changed: a request that has looked its version up keeps it, and its
session, until it is answered, whatever is loaded, unloaded, promoted or rolled back meanwhile.
"""

import random
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

import structlog
from numpy.typing import NDArray
from pydantic import TypeAdapter

from models.errors import (
    BundleError,
    DengeError,
    LayerNotFound,
    ModelNotFound,
    NotReady,
    ProviderUnavailable,
    VersionNotFound,
)
from models.manifest import Manifest, NormLayer
from models.repository.bundle import Bundle
from models.repository.repository import Repository
from models.repository.rollout import Rollout
from models.runtime import Engine
from service.host import memory
from service.wire.signature import Signature

log = structlog.get_logger()

State = Literal["READY", "UNAVAILABLE"]


@dataclass(frozen=True)
class ServedVersion:
    """One version of a model, ready to run."""

    model: str
    version: int
    manifest: Manifest
    engine: Engine
    signature: Signature = field(init=False, compare=False)
    layers: Mapping[str, NormLayer] = field(init=False, compare=False)
    batchable: bool = field(init=False, compare=False)
    """The manifest's, without asking it again for every request."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "signature", Signature(self.manifest.inputs, self.manifest.outputs))
        layers = {layer.name: layer for layer in self.manifest.norm_layers}
        object.__setattr__(self, "layers", MappingProxyType(layers))
        object.__setattr__(self, "batchable", self.manifest.batchable)

    def rows(self, inputs: Mapping[str, NDArray[Any]]) -> int:
        """How many examples these inputs hold; one where the batch is not free."""
        return len(inputs[self.manifest.inputs[0].name]) if self.batchable else 1

    def layer(self, name: str) -> NormLayer:
        """A normalisation layer by name.

        Raises:
            LayerNotFound: the model has none of this name.
        """
        try:
            return self.layers[name]
        except KeyError:
            raise LayerNotFound(self.model, name) from None


@dataclass(frozen=True)
class _Told:
    """What another process is told of one model."""

    default: int | None
    loaded: list[int]
    failed: dict[int, str]
    canary: int | None
    share: float
    shadow: int | None


@dataclass(frozen=True)
class _Model:
    """What the catalog knows of one model.

    Attributes:
        default: what answers requests that name no version, but those for the canary.
        loaded, failed: versions that answer where they are named, and why others do not.
        canary, share: what answers this share of the requests that name none.
        shadow: what is compared with the default.
    """

    default: int | None
    loaded: Mapping[int, ServedVersion]
    failed: Mapping[int, str]
    canary: ServedVersion | None = None
    share: float = 0.0
    shadow: ServedVersion | None = None

    def told(self) -> _Told:
        """The same for another process."""
        return _Told(
            self.default,
            sorted(self.loaded),
            dict(self.failed),
            canary=None if self.canary is None else self.canary.version,
            share=self.share,
            shadow=None if self.shadow is None else self.shadow.version,
        )


_STATE = TypeAdapter(dict[str, _Told])


@dataclass(frozen=True)
class IndexEntry:
    """One version in the repository, loaded or not, and why not."""

    name: str
    version: int
    state: State
    reason: str = ""


class Catalog:
    """Loads, swaps and unloads versions of models.

    Args:
        repository: where the bundles are.
        start: makes the engine of a bundle.
        loaded_versions: how many of a model's newest versions are kept loaded, besides those that are in use.
        changed: told of every change, as `follow` of another process's catalog reads it. The change is over when it
            returns.
        draw: a number from 0 to 1, evenly spread, for every request that a canary could answer.
    """

    def __init__(
        self,
        repository: Repository,
        start: Callable[[Bundle], Engine],
        loaded_versions: int = 2,
        changed: Callable[[bytes], None] = lambda _state: None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.repository = repository
        self._start = start
        self._loaded_versions = loaded_versions
        self._changed = changed
        self._draw = draw
        self._models: Mapping[str, _Model] = {}
        self._changing = threading.Lock()

    @property
    def ready(self) -> bool:
        """Whether every model that is meant to be loaded answers."""
        return all(model.default is not None for model in self._models.values())

    def names(self) -> list[str]:
        """Names of the models that answer, sorted."""
        return sorted(name for name, model in self._models.items() if model.loaded)

    def served(self) -> list[ServedVersion]:
        """Every version that is loaded."""
        return [served for model in self._models.values() for served in model.loaded.values()]

    def versions(self, name: str) -> list[int]:
        """Loaded versions of a model, oldest first.

        Raises:
            ModelNotFound: the catalog does not know the model.
        """
        return sorted(self._model(name).loaded)

    def get(self, name: str, version: int | None = None) -> ServedVersion:
        """The version asked for, or the default one.

        Raises:
            ModelNotFound, VersionNotFound: there is no such version.
            NotReady: it exists but is not loaded.
        """
        model = self._model(name)
        wanted = model.default if version is None else version
        if wanted is None:
            raise NotReady(f"model '{name}' is not ready: no version of it could be loaded")
        if served := model.loaded.get(wanted):
            return served
        if wanted in model.failed or wanted in self.repository.versions(name):
            reason = model.failed.get(wanted, "it is not loaded")
            raise NotReady(f"model '{name}' version {wanted} is not ready: {reason}")
        raise VersionNotFound(name, wanted)

    def choose(self, name: str, version: int | None = None) -> ServedVersion:
        """The version that is to answer a request: the one asked for, else the canary or the default one.

        Raises:
            ModelNotFound, VersionNotFound: there is no such version.
            NotReady: it exists but is not loaded.
        """
        if version is None:
            model = self._models.get(name)
            if model is not None and model.canary is not None and self._draw() < model.share:
                return model.canary
        return self.get(name, version)

    def shadow_of(self, served: ServedVersion) -> ServedVersion | None:
        """The version that is compared with this one."""
        model = self._models.get(served.model)
        return None if model is None or served.version != model.default else model.shadow

    def index(self) -> list[IndexEntry]:
        """Every version in the repository and in memory, by name and version."""
        entries: list[IndexEntry] = []
        for name in sorted({*self.repository.models(), *self._models}):
            known = self._models.get(name, _Model(None, {}, {}))
            on_disk = self.repository.versions(name) if name in self.repository.models() else []
            for version in sorted({*on_disk, *known.loaded}):
                if version in known.loaded:
                    entries.append(IndexEntry(name, version, "READY"))
                else:
                    entries.append(IndexEntry(name, version, "UNAVAILABLE", known.failed.get(version, "not loaded")))
        return entries

    def load_all(self) -> None:
        """Load every model of the repository. A version that fails is logged and listed with its reason.

        Raises:
            ProviderUnavailable: that is no fault of a model, and no reason to serve with another provider.
        """
        for name in self.repository.models():
            with suppress(NotReady):
                self.load(name)

    def load(self, name: str) -> None:
        """Bring a model up to date with the repository: load what is new, then let go of what is no longer wanted.

        Raises:
            ModelNotFound: the repository has no such model.
            NotReady: none of its versions can be loaded; what was loaded stays.
            ProviderUnavailable: the provider does not work.
        """
        with self._changing:
            versions = self.repository.versions(name)
            current = self._models.get(name, _Model(None, {}, {}))
            try:
                rollout = self.repository.rollout(name)
            except BundleError as error:
                log.error("load_failed", model=name, error=str(error), exc_info=error.__cause__)
                self._replace(name, replace(current, failed={versions[-1]: str(error)}))
                raise NotReady(f"failed to load '{name}': {error}") from error
            loaded, errors = self._load_versions(name, sorted(rollout.wanted(versions, self._loaded_versions)), current)
            for reason in errors.values():
                if isinstance(reason, ProviderUnavailable):
                    raise reason
            failed = {version: str(reason) for version, reason in errors.items()}
            default = _default(rollout, versions[-1], current, loaded)
            if default is None:
                # A good version is never replaced by bad ones.
                self._replace(name, replace(current, failed=failed))
                reasons = "; ".join(f"version {version}: {reason}" for version, reason in failed.items())
                raise NotReady(f"failed to load '{name}', {reasons}")
            canary = rollout.canary
            self._replace(
                name,
                _Model(
                    default,
                    loaded,
                    failed,
                    canary=None if canary is None else loaded.get(canary.version),
                    share=0.0 if canary is None else canary.share,
                    shadow=None if rollout.shadow is None else loaded.get(rollout.shadow),
                ),
            )

    def try_out(self, name: str, version: int) -> None:
        """Load a version that is about to be used, unless it is loaded.

        Raises:
            ModelNotFound, VersionNotFound: there is no such version.
            NotReady: it cannot be loaded.
        """
        with self._changing:
            current = self._models.get(name, _Model(None, {}, {}))
            if version in current.loaded:
                return
            if version not in self.repository.versions(name):
                raise VersionNotFound(name, version)
            try:
                served = self._load_version(name, version)
            except ProviderUnavailable:
                raise
            except DengeError as error:
                raise NotReady(f"model '{name}' version {version} cannot be loaded: {error}") from error
            self._replace(name, replace(current, loaded={**current.loaded, version: served}))

    def unload(self, name: str) -> None:
        """Stop serving a model. Requests in flight are still answered.

        Raises:
            ModelNotFound: it is not loaded.
        """
        with self._changing:
            self._model(name)
            self._replace_all({other: model for other, model in self._models.items() if other != name})
        log.info("unloaded", model=name)

    def follow(self, state: bytes) -> None:
        """Serve what another process's catalog serves: load what it has, and let go of the rest.

        Raises:
            NotReady: something of it cannot be loaded here; the rest is served all the same.
        """
        failures: list[str] = []
        with self._changing:
            models: dict[str, _Model] = {}
            for name, told in _STATE.validate_json(state).items():
                current = self._models.get(name, _Model(None, {}, {}))
                loaded, errors = self._load_versions(name, told.loaded, current)
                failed = {**told.failed, **{version: str(error) for version, error in errors.items()}}
                failures += [f"'{name}' version {version}: {error}" for version, error in errors.items()]
                canary = None if told.canary is None else loaded.get(told.canary)
                shadow = None if told.shadow is None else loaded.get(told.shadow)
                models[name] = _Model(told.default, loaded, failed, canary, told.share, shadow)
            self._replace_all(models)
        if failures:
            raise NotReady(f"failed to load {'; '.join(failures)}")

    def _model(self, name: str) -> _Model:
        try:
            return self._models[name]
        except KeyError:
            if name in self.repository.models():
                raise NotReady(f"model '{name}' is not ready: it is not loaded") from None
            raise ModelNotFound(name) from None

    def _load_versions(
        self, name: str, versions: list[int], current: _Model
    ) -> tuple[dict[int, ServedVersion], dict[int, DengeError]]:
        """Those that are loaded or can be, and why the others cannot."""
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
        memory.give_back()
        log.info("loaded", model=name, version=version, provider=served.engine.provider)
        return served

    def _replace(self, name: str, model: _Model) -> None:
        self._replace_all({**self._models, name: model})

    def _replace_all(self, models: Mapping[str, _Model]) -> None:
        self._models = models
        self._changed(_STATE.dump_json({name: model.told() for name, model in models.items()}))


def _default(rollout: Rollout, newest: int, current: _Model, loaded: dict[int, ServedVersion]) -> int | None:
    """What answers when no version is named. In place of one that cannot be loaded, never one that nobody chose."""
    if rollout.default is None:
        return newest if newest in loaded else max(loaded, default=None)
    if rollout.default in loaded:
        return rollout.default
    before = [version for version in (*rollout.previous, current.default) if version in loaded]
    return before[-1] if before else None

"""Bundles in a bucket: `<prefix>/<model>/<version>/<file>`, and `<prefix>/<model>/rollout.json`.

The keys are the paths of a folder of bundles, so that tools which copy folders into buckets copy repositories.

A publisher claims a number by creating its manifest, uploads the other files, and creates the list of digests, which
makes the version visible. Both creations succeed for one publisher only (`If-None-Match: *`). So concurrent publishers
get different numbers, and a kill at any point leaves the old state or the new one. What was uploaded without a list of
digests is deleted after `ABANDONED_HOURS`. A rollout is replaced only if it has not changed (`If-Match`).
"""

import hashlib
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import sleep

from models.errors import BundleError, DamagedBundle, StorageError
from models.manifest import MODEL_NAME, Manifest
from models.repository import bundle, rollout
from models.repository.bundle import DIGESTS, MANIFEST, AnyBundle
from models.repository.cache import BundleCache
from models.repository.last_seen import LastSeen
from models.repository.listing import ModelListing, is_version, reason_against_number
from models.repository.objects import Objects, StoredObject
from models.repository.rollout import MAX_ROLLOUT_BYTES, ROLLOUT, Rollout
from models.repository.storage import Storage, StoredModel
from models.stored_graph import Content

ABANDONED_HOURS = 24
"""After which an upload that was not completed is taken for one whose publisher has died."""

_CHANGES = 20
"""How often a change of a rollout is tried while others change it."""
_CHANGE_PAUSE_SECONDS = 0.05
_PROBE = ".denge-write-probe"

_Uploads = Mapping[str, Sequence[StoredObject]]
"""The objects of each version of a model, by the name of its folder."""


class ObjectStorage(Storage):
    """A bucket of bundles.

    Args:
        url: bucket and prefix, from `parse_location`. The bucket exists.
        cache: of bundles. What it has can be read where the bucket does not answer.
        now: the present time.
    """

    def __init__(
        self, url: str, cache: BundleCache | None = None, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._objects = Objects(url)
        self._cache = cache
        self._now = now
        name = f"{hashlib.sha256(url.encode()).hexdigest()[:16]}.json"
        self._seen = LastSeen(None if cache is None else cache.folder / name)

    def validate_writable(self) -> None:
        """Write an object, and delete it."""
        self._objects.put(_PROBE, b"")
        with suppress(StorageError):  # publishing needs no deletion
            self._objects.delete([_PROBE])

    def list_models(self) -> dict[str, ModelListing]:
        """Models by name. A version that is being uploaded is not in its listing."""
        models: dict[str, list[StoredObject]] = defaultdict(list)
        for found in self._objects.list():
            model, _, path = found.key.partition("/")
            if path and MODEL_NAME.fullmatch(model):
                models[model].append(found)
        listings = {model: _listing(_by_version(objects)) for model, objects in sorted(models.items())}
        found_models = {model: listing for model, listing in listings.items() if listing != ModelListing()}
        self._seen.record_models({model: listing.versions for model, listing in found_models.items()})
        return found_models

    def list_model(self, model: str) -> ModelListing:
        """The versions of one model."""
        listing = _listing(self._uploads(model))
        self._seen.record_versions(model, listing.versions)
        return listing

    def read(self, model: str, version: int, read_bundle: Callable[[Path], AnyBundle]) -> AnyBundle | None:
        """Read a version from the cache, or download and verify it."""
        digest = self._digest(model, version)
        if digest is None:
            return None
        if self._cache is None:
            with TemporaryDirectory() as name:
                folder = Path(name) / str(version)
                folder.mkdir()
                self._download(model, version, folder)
                return read_bundle(folder)
        found = self._cache.read(digest, read_bundle)
        if found is None:
            self._add_to_cache(self._cache, digest, model, version)
            found = self._cache.read(digest, read_bundle)
        if found is None:
            raise DamagedBundle(
                f"{model}/{version} does not match its digests: publish it once more, and prune this one"
            )
        return found

    def read_manifest(self, model: str, version: int) -> Manifest:
        """Download the manifest of a version."""
        found = self._objects.get(_key(model, version, MANIFEST), bundle.MAX_MANIFEST_BYTES)
        if found is None:
            raise DamagedBundle(f"{model}/{version}/{MANIFEST} is missing")
        return bundle.parse_manifest(found.data)

    def digest(self, model: str, version: int) -> str:
        """The digest of a version; the one that was seen last where the bucket does not answer."""
        digest = self._digest(model, version)
        if digest is None:
            raise DamagedBundle(f"{model}/{version}/{DIGESTS} is missing")
        return digest

    def size(self, model: str, version: int) -> int:
        """Bytes of the objects of a version."""
        return sum(found.size for found in self._objects.list(_key(model, version, "")))

    def publish(self, model: str, files: Mapping[str, Content], before_visible: Callable[[], None]) -> int:
        """Claim the next number, upload all files, and create the list of digests."""
        while True:
            version = self._next_version(model)
            if self._objects.create(_key(model, version, MANIFEST), files[MANIFEST]):
                break
        try:
            self._upload(model, version, files)
            before_visible()
        except BaseException:
            with suppress(StorageError):  # or it is deleted as abandoned
                self._objects.delete([_key(model, version, name) for name in files if name != DIGESTS])
            raise
        if not self._make_visible(model, version, files):
            raise StorageError(f"{model}/{version} was published by another process meanwhile: try again")
        return version

    def publish_as(self, model: str, files: Mapping[str, Content], version: int) -> bool:
        """Upload all files, and create the list of digests. Publishers of one bundle may do this together."""
        if self._digest(model, version) is not None:
            return False
        manifest = _key(model, version, MANIFEST)
        if not self._objects.create(manifest, files[MANIFEST]):
            present = self._objects.get(manifest, bundle.MAX_MANIFEST_BYTES)
            if present is None or present.data != files[MANIFEST]:
                raise BundleError(
                    f"{model}/{version} is being published by another process, and is another bundle. If that process "
                    f"has died, the number is free after {ABANDONED_HOURS} hours"
                )
        self._upload(model, version, files)
        return self._make_visible(model, version, files)

    def delete_versions(self, model: str, choose: Callable[[], list[int]]) -> list[int]:
        """Delete versions: first their lists of digests, so that each becomes invisible in one step."""
        versions = choose()
        uploads = self._uploads(model) if versions else {}
        for version in versions:
            keys = [found.key for found in uploads.get(str(version), ())]
            self._objects.delete(sorted(keys, key=lambda key: not key.endswith(DIGESTS)))
        return versions

    def delete_abandoned(self) -> None:
        """Delete what was uploaded `ABANDONED_HOURS` ago, and not made visible since."""
        models = {found.key.partition("/")[0] for found in self._objects.list()}
        for model in models:
            if MODEL_NAME.fullmatch(model):
                self._delete_abandoned(self._uploads(model))

    def rollout(self, model: str) -> Rollout:
        """Download `rollout.json`."""
        stored = self._objects.get(_rollout_key(model), MAX_ROLLOUT_BYTES)
        found = Rollout() if stored is None else rollout.parse(stored.data, model)
        self._seen.record_rollout(model, found)
        return found

    def change_rollout(self, model: str, change: Callable[[Rollout], Rollout]) -> Rollout:
        """Replace `rollout.json` if it is what the change was made from; otherwise change the new one."""
        for attempt in range(_CHANGES):
            stored = self._objects.get(_rollout_key(model), MAX_ROLLOUT_BYTES)
            before = Rollout() if stored is None else rollout.parse(stored.data, model)
            after = change(before)
            if after == before or self._objects.replace(_rollout_key(model), rollout.serialize(after), stored):
                self._seen.record_rollout(model, after)
                return after
            sleep(_CHANGE_PAUSE_SECONDS * attempt * random.random())  # noqa: S311 - so that others do not collide again
        raise StorageError(f"the rollout of '{model}' was changed by others {_CHANGES} times meanwhile: try again")

    def last_seen(self) -> dict[str, StoredModel]:
        """Models as they were last read, with the versions that are in the cache."""
        if self._cache is None:
            return {}
        found = {}
        for name, seen in self._seen.models().items():
            versions = tuple(sorted(version for version, digest in seen.digests.items() if digest in self._cache))
            if versions:
                found[name] = StoredModel(versions, seen.rollout.without_missing([*versions]))
        return found

    def _digest(self, model: str, version: int) -> str | None:
        try:
            found = self._objects.get(_key(model, version, DIGESTS), bundle.MAX_DIGESTS_BYTES)
        except StorageError:
            seen = self._seen.digest(model, version)
            if seen is None:
                raise
            return seen
        if found is None:
            return None
        digest = bundle.digest_of(found.data)
        self._seen.record_digest(model, version, digest)
        return digest

    def _add_to_cache(self, cache: BundleCache, digest: str, model: str, version: int) -> None:
        try:
            cache.add(digest, lambda folder: self._download(model, version, folder))
        except OSError as error:
            raise StorageError(f"the cache {cache.folder} cannot be written: {error.strerror}") from error

    def _download(self, model: str, version: int, folder: Path) -> None:
        where = f"{model}/{version}"
        listed = self._objects.get(_key(model, version, DIGESTS), bundle.MAX_DIGESTS_BYTES)
        if listed is None:
            raise DamagedBundle(f"{where} was deleted meanwhile")
        (folder / DIGESTS).write_bytes(listed.data)
        for name in bundle.parse_digests(listed.data, where):
            if not self._objects.download(_key(model, version, name), folder / name, bundle.MAX_FILE_BYTES):
                raise DamagedBundle(f"{where}/{name} is missing")

    def _upload(self, model: str, version: int, files: Mapping[str, Content]) -> None:
        for name, data in files.items():
            if name not in {MANIFEST, DIGESTS}:
                self._objects.put(_key(model, version, name), data)

    def _make_visible(self, model: str, version: int, files: Mapping[str, Content]) -> bool:
        return self._objects.create(_key(model, version, DIGESTS), files[DIGESTS])

    def _uploads(self, model: str) -> _Uploads:
        return _by_version(self._objects.list(f"{model}/"))

    def _next_version(self, model: str) -> int:
        """The number after all versions and all that are being uploaded."""
        uploads = self._uploads(model)
        self._delete_abandoned(uploads)
        taken = [int(name) for name in uploads if not reason_against_number(name)]
        return max(taken, default=0) + 1

    def _delete_abandoned(self, uploads: _Uploads) -> None:
        oldest = self._now() - timedelta(hours=ABANDONED_HOURS)
        for objects in uploads.values():
            if not _is_complete(objects) and all(found.last_modified < oldest for found in objects):
                self._objects.delete([found.key for found in objects])


def _key(model: str, version: int, name: str) -> str:
    return f"{model}/{version}/{name}"


def _rollout_key(model: str) -> str:
    return f"{model}/{ROLLOUT}"


def _by_version(objects: Iterable[StoredObject]) -> _Uploads:
    found: dict[str, list[StoredObject]] = defaultdict(list)
    for each in objects:
        _, name, *path = each.key.split("/", 2)
        if path and is_version(name):
            found[name].append(each)
    return found


def _is_complete(objects: Iterable[StoredObject]) -> bool:
    return any(found.key.endswith(f"/{DIGESTS}") for found in objects)


def _listing(uploads: _Uploads) -> ModelListing:
    complete = [name for name, objects in uploads.items() if _is_complete(objects)]
    unusable = {name: reason for name in complete if (reason := reason_against_number(name))}
    return ModelListing(tuple(sorted(int(name) for name in complete if name not in unusable)), unusable)

"""Bundles on the local disk, by digest."""

import os
import shutil
from pathlib import Path

import pytest

from models.repository import bundle as bundles
from models.repository.cache import BundleCache
from tests.bundles import tiny_bundle


def add(cache: BundleCache, seed: int) -> str:
    files = bundles.pack(tiny_bundle(seed=seed))
    digest = bundles.digest_of(files[bundles.DIGESTS])
    cache.add(digest, lambda folder: bundles.write(folder, files))
    return digest


def test_the_least_recently_used_bundle_goes_first(tmp_path: Path) -> None:
    size = sum(map(len, bundles.pack(tiny_bundle()).values()))
    cache = BundleCache(tmp_path, int(2.5 * size))
    digests = [add(cache, seed) for seed in (1, 2)]
    for age, digest in enumerate(digests):
        os.utime(tmp_path / "bundles" / digest, (age, age))
    assert cache.read(digests[0], bundles.read) == tiny_bundle(seed=1)  # used now

    digests.append(add(cache, 3))

    assert [digest in cache for digest in digests] == [True, False, True]


def test_a_kill_during_a_deletion_leaves_no_half_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = BundleCache(tmp_path, 1)
    first = add(cache, 1)
    with monkeypatch.context() as killed:
        killed.setattr(shutil, "rmtree", lambda folder, **_: (folder / "manifest.json").unlink(missing_ok=True))
        add(cache, 2)

    assert first not in cache
    assert cache.read(add(cache, 1), bundles.read) == tiny_bundle(seed=1)
    assert [path.name for path in (tmp_path / "bundles").iterdir()] == [first], "what was left is deleted"


def test_one_that_is_larger_than_the_cache_stays_as_long_as_it_is_the_last(tmp_path: Path) -> None:
    cache = BundleCache(tmp_path, 1)
    first, second = add(cache, 1), add(cache, 2)

    assert first not in cache
    assert cache.read(second, bundles.read) == tiny_bundle(seed=2)


def test_a_download_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "manifest.json").touch()
        raise OSError(28, "No space left on device")

    cache = BundleCache(tmp_path, 1 << 30)
    with pytest.raises(OSError, match="No space"):
        cache.add("0" * 64, fail)

    assert "0" * 64 not in cache
    assert [*(tmp_path / "bundles").iterdir()] == []


def test_a_bundle_that_is_there_already_stays(tmp_path: Path) -> None:
    cache = BundleCache(tmp_path, 1 << 30)

    assert add(cache, 1) == add(cache, 1)
    assert cache.read(add(cache, 1), bundles.read) == tiny_bundle(seed=1)

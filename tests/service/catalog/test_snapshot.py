"""A model's snapshot in another process: served as far as its versions can be loaded there."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from pydantic import TypeAdapter

from models.errors import NotReady
from models.repository.bundle import ServedBundle
from models.repository.repository import Repository
from models.repository.rollout import Canary
from models.runtime.engine import Engine
from service.catalog import snapshot
from service.catalog.catalog import Catalog
from service.catalog.rollouts import Rollouts
from service.catalog.served_version import ServedVersion
from service.catalog.snapshot import ModelSnapshot, PublishedSnapshot
from tests.bundles import tiny_bundle
from tests.service.catalogs import start

WAIT = 30
ROWS = {"input": np.ones((1, 4), np.float32)}
VERSIONS = {
    version: ServedVersion("tiny", version, tiny_bundle(seed=version).manifest, start(tiny_bundle(seed=version)))
    for version in (1, 2, 3)
}


def test_a_catalog_that_follows_another_serves_what_that_one_does(repository: Repository) -> None:
    for seed in range(3):
        repository.publish(tiny_bundle(seed=seed))
    repository.publish(tiny_bundle("other"))
    leader, follower = Catalog(repository, start), Catalog(repository, start)
    leader.load_all()
    follower.apply_snapshots(sent(leader))

    assert follower.names() == leader.names() == ["other", "tiny"]
    assert follower.versions("tiny") == leader.versions("tiny") == [2, 3]
    assert follower.get("tiny").version == leader.get("tiny").version == 3
    assert np.array_equal(answer(follower), answer(leader))

    kept = follower.get("tiny", 3)
    Rollouts(leader).promote("tiny", 2)
    Rollouts(leader).set_canary("tiny", Canary(version=3, share=1))
    leader.unload("other")
    follower.apply_snapshots(sent(leader))

    assert follower.names() == ["tiny"]
    assert follower.get("tiny").version == 2
    assert follower.choose("tiny").version == 3
    assert follower.get("tiny", 3) is kept  # what is loaded is not loaded again


def test_a_follower_that_cannot_load_a_version_says_so_and_serves_the_rest(repository: Repository) -> None:
    for seed in range(2):
        repository.publish(tiny_bundle(seed=seed))
    leader = Catalog(repository, start)
    leader.load_all()
    (repository.root / "tiny" / "1" / "manifest.json").write_bytes(b"")
    follower = Catalog(repository, start)

    with pytest.raises(NotReady, match="'tiny' version 1"):
        follower.apply_snapshots(sent(leader))
    assert follower.get("tiny").version == 2
    with pytest.raises(NotReady, match="version 1 is not ready"):
        follower.get("tiny", 1)


def test_the_index_of_a_follower_does_not_wait_for_versions_that_it_loads(repository: Repository) -> None:
    repository.publish(tiny_bundle())
    leader = Catalog(repository, start)
    leader.load_all()
    is_loading, is_listed = threading.Event(), threading.Event()
    did_wait: list[bool] = []

    def start_when_listed(bundle: ServedBundle) -> Engine:
        is_loading.set()
        did_wait.append(not is_listed.wait(WAIT))
        return start(bundle)

    follower = Catalog(repository, start_when_listed)
    with ThreadPoolExecutor(1) as threads:
        applying = threads.submit(follower.apply_snapshots, sent(leader))
        assert is_loading.wait(WAIT)
        assert [(entry.name, entry.state) for entry in follower.index()] == [("tiny", "UNAVAILABLE")]
        is_listed.set()
        applying.result(WAIT)

    assert did_wait == [False], "the index came after the version was loaded"
    assert follower.get("tiny").version == 1


def test_a_catalog_that_was_sent_later_is_served_at_the_end_whichever_takes_longer(repository: Repository) -> None:
    repository.publish(tiny_bundle())
    leader = Catalog(repository, start)
    leader.load_all()
    earlier = sent(leader)
    repository.publish(tiny_bundle(seed=1))
    leader.load("tiny")
    is_loading, is_sent = threading.Event(), threading.Event()

    def start_when_sent(bundle: ServedBundle) -> Engine:
        is_loading.set()
        assert is_sent.wait(WAIT)
        return start(bundle)

    follower = Catalog(repository, start_when_sent)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(follower.apply_snapshots, earlier)
        assert is_loading.wait(WAIT)
        second = threads.submit(follower.apply_snapshots, {})  # nothing to load: it would be done at once
        is_sent.set()
        first.result(WAIT)
        second.result(WAIT)

    assert follower.names() == []


def sent(catalog: Catalog) -> dict[str, PublishedSnapshot]:
    """What a catalog serves, on the way to another process."""
    kind = TypeAdapter(dict[str, PublishedSnapshot])
    return kind.validate_json(kind.dump_json(snapshot.publish(catalog.snapshots)))


def answer(catalog: Catalog) -> np.ndarray:
    return catalog.get("tiny").engine.run(ROWS)["logits"]


@pytest.mark.parametrize(
    "model",
    [
        ModelSnapshot(),
        ModelSnapshot(default=1, loaded={1: VERSIONS[1]}, failed={2: "damaged"}),
        ModelSnapshot(1, VERSIONS, {}, canary=VERSIONS[2], canary_share=0.25, shadow=VERSIONS[3]),
    ],
    ids=["nothing loaded", "one loaded", "canary and shadow"],
)
def test_a_snapshot_arrives_as_it_was_published(model: ModelSnapshot) -> None:
    published = snapshot.publish({"tiny": model})["tiny"]

    assert published.loaded == sorted(model.loaded)
    assert published.restore(model.loaded, {}) == model


def test_a_canary_or_shadow_that_cannot_be_loaded_has_no_role() -> None:
    model = ModelSnapshot(1, VERSIONS, {}, canary=VERSIONS[2], canary_share=0.25, shadow=VERSIONS[3])
    restored = model.to_published().restore({1: VERSIONS[1]}, {2: "damaged", 3: "damaged"})

    assert (restored.default, restored.canary, restored.shadow) == (1, None, None)
    assert restored.failed == {2: "damaged", 3: "damaged"}

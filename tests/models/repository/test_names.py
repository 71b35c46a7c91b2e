"""A name never leads out of the repository, whatever asks."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.errors import InvalidInput, ModelNotFound
from models.manifest import MODEL_NAME
from models.repository.bundle import Bundle
from models.repository.repository import Repository
from tests.bundles import tiny_bundle
from tests.models.repository.trees import tree
from tests.rollouts import promote

PATHLIKE = [
    "",
    ".",
    "..",
    "../x",
    "a/b",
    "a\\..\\b/",
    "/etc",
    "~",
    ".hidden",
    ".incoming-x",
    "a\0b",
    "\0",
    "tiny\n",
    "tiny\n/..",
    "tiny ",
    " tiny",
    "tiny/",
    "tiny/.",
    "tiny/1",
    "%2e%2e",
    "tíny",
    "a" * 129,
]


@pytest.fixture(scope="module")
def shared_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a repository, and bundles outside of it that a path could lead to."""
    world = tmp_path_factory.mktemp("world")
    for place in ("repository", "outside", "outside/x"):
        repository = Repository(world / place)
        repository.publish(tiny_bundle())
        repository.publish(tiny_bundle())
    shutil.copytree(world / "outside" / "tiny", world / "x")
    return world


LOOK_UPS = pytest.mark.parametrize(
    "look_up",
    [
        Repository.versions,
        Repository.default_version,
        lambda repository, name: repository.read(name, 1),
        lambda repository, name: promote(repository, name, 1),
        lambda repository, name: repository.prune(name, keep=1),
    ],
    ids=["versions", "default_version", "read", "change_rollout", "prune"],
)


@pytest.fixture
def world(shared_world: Path) -> Iterator[Path]:
    """Must stay as it is."""
    before = tree(shared_world)
    yield shared_world
    assert tree(shared_world) == before


@LOOK_UPS
@pytest.mark.parametrize("name", [*PATHLIKE, "../outside/tiny"])
def test_a_name_like_a_path_is_not_found(world: Path, name: str, look_up: Callable[[Repository, str], object]) -> None:
    with pytest.raises(ModelNotFound):
        look_up(Repository(world / "repository"), name)


@pytest.mark.parametrize("name", PATHLIKE)
def test_a_manifest_does_not_take_a_name_like_a_path(name: str) -> None:
    with pytest.raises(ValidationError):
        tiny_bundle(name=name)


@pytest.mark.parametrize("name", PATHLIKE)
def test_nothing_is_published_under_a_name_like_a_path(world: Path, name: str) -> None:
    """Copies of a manifest are not validated."""
    good = tiny_bundle()
    bad = Bundle(good.manifest.model_copy(update={"model": name}), folded=good.folded, source=good.source)

    with pytest.raises(InvalidInput, match="is no name for a model"):
        Repository(world / "repository").publish(bad)


@given(name=st.text())
def test_a_name_is_a_folder_of_the_repository_or_none(name: str) -> None:
    try:
        tiny_bundle(name=name)
    except ValidationError:
        assert not MODEL_NAME.fullmatch(name)
    else:
        assert MODEL_NAME.fullmatch(name)
        assert Path("/repository", name).resolve().parent == Path("/repository")

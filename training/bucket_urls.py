"""What a URL in a bucket names: a repository, a model in it, or one of its versions."""

from typing import NamedTuple

from models.repository.repository import Repository


class Named(NamedTuple):
    """A repository, and the model and the version in it that a URL names, if it does."""

    repository: Repository
    model: str | None = None
    version: int | None = None


def resolve(url: str) -> Named:
    """Returns what a URL names.

    Args:
        url: from `models.repository.location.parse_location`.

    Raises:
        StorageError: the bucket does not answer.
    """
    bucket, *path = url.split("://", 1)[1].split("/")
    root = url.split("://", 1)[0] + "://" + bucket

    def repository(segments: list[str]) -> Repository:
        return Repository("/".join([root, *segments]))

    if len(path) > 1 and path[-1].isdecimal():
        return Named(repository(path[:-2]), path[-2], int(path[-1]))
    if path and path[-1] in (above := repository(path[:-1])).models():
        return Named(above, path[-1])
    return Named(repository(path))

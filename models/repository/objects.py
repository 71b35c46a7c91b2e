"""Objects of a bucket, below one URL: conditional writes whose answer may get lost, and errors in words.

S3 and what speaks its protocol, Google Cloud Storage and Azure, by obstore. It takes credentials, region and endpoint
from the variables that each of them has (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, `AWS_WEB_IDENTITY_TOKEN_FILE`...).
Its messages are never passed on: they may have a signature in them.
"""

import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, PreconditionError
from obstore.store import from_url

from models.errors import InvalidInput, StorageError
from models.stored_graph import Content

if TYPE_CHECKING:
    from obstore import PutMode, UpdateVersion
    from obstore.store import ClientConfig, RetryConfig

_CONNECT_SECONDS = 3
_READ_SECONDS = 10
_REQUEST_SECONDS = 900
"""For 2 GiB at 2.5 MB/s. A storage that sends nothing is given up after `_READ_SECONDS`."""

_CLIENT: "ClientConfig" = {
    "allow_http": True,  # where the endpoint is given with http://
    "connect_timeout": timedelta(seconds=_CONNECT_SECONDS),
    "read_timeout": timedelta(seconds=_READ_SECONDS),
    "timeout": timedelta(seconds=_REQUEST_SECONDS),
}
_RETRIES: "RetryConfig" = {
    "max_retries": 2,
    "retry_timeout": timedelta(seconds=20),
    "backoff": {"init_backoff": timedelta(milliseconds=50), "max_backoff": timedelta(seconds=1), "base": 2},
}
_WRITES = 3
"""How often a conditional write is tried: more than once, since the answer of one that was carried out may get lost."""
_WRITE_PAUSE_SECONDS = 0.1

_WRITE = "dengewrite"
"""Metadata of an object: which write it is from. Other writers may write the same bytes."""

_NO_BUCKET = "NoSuchBucket|ContainerNotFound|bucket does not exist"
_REASONS = {
    _NO_BUCKET: "the bucket does not exist: create it, or correct the URL",
    "RequestTimeTooSkewed|RequestExpired": "this machine's clock is not the storage's: set it, for example by NTP",
    "ExpiredToken|TokenRefreshRequired": "the credentials have expired: renew them",
    "InvalidAccessKeyId|SignatureDoesNotMatch|AuthorizationHeaderMalformed|AuthenticationFailed|status code: 401": (
        "the credentials or the region are not valid: check them, for S3 AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and "
        "AWS_REGION"
    ),
    "AccessDenied|AuthorizationPermissionMismatch|status code: 403": (
        "the credentials do not permit it: grant them to list, read, write and delete objects below the URL"
    ),
    r"169\.254\.169\.254|metadata\.google|[Ii]nstance ?[Mm]etadata|MissingAccount": (
        "no credentials are found: set them in the environment, for S3 AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    ),
    "status code: (429|503)": "it is overloaded or not available: try again later",
    "dns error": "the name of its host is not known: check the endpoint and the network",
    "kind: Timeout|TimedOut|timed out": "it does not answer in time: check the endpoint and the network",
    "kind: (Connect|Request|Interrupted)": "it does not take connections: check the endpoint and the network",
}
"""Why the storage does not do what it is asked for, by what its messages have in them. The first one counts."""

_STATUS = re.compile(r"status code: (\d{3} [A-Za-z ]+)")


@dataclass(frozen=True)
class StoredObject:
    """An object without its content.

    Attributes:
        key: below the URL.
        last_modified: by the storage's clock.
        size: in bytes.
    """

    key: str
    last_modified: datetime
    size: int


@dataclass(frozen=True)
class Revision:
    """The content of an object, and what identifies it for a conditional write."""

    data: bytes
    version: "UpdateVersion"


class Objects:
    """The objects below a URL.

    All methods raise StorageError, in words, where the storage does not answer or refuses. They block.

    Args:
        url: bucket and prefix, from `parse_location`.

    Raises:
        InvalidInput: the environment lacks what the URL needs.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        try:
            self._store = from_url(url, client_options=_CLIENT, retry_config=_RETRIES)
        except BaseError as error:
            raise InvalidInput(f"{url}: {_reason(error)}", "repository") from None

    def list(self, prefix: str = "") -> list[StoredObject]:
        """All objects whose keys begin with a prefix, which is empty or ends with a slash; sorted by key."""
        with self._in_words("read"):
            found = obstore.list(self._store, prefix or None, chunk_size=1000).collect()
        objects = (StoredObject(meta["path"], meta["last_modified"], meta["size"]) for meta in found)
        return sorted(objects, key=lambda found: found.key)

    def get(self, key: str, max_bytes: int) -> Revision | None:
        """An object; None if there is none. One that is longer than `max_bytes` raises StorageError."""
        with self._in_words("read"):
            try:
                found = obstore.get(self._store, key)
                self._require_size(key, found.meta["size"], max_bytes)
                data = bytes(found.bytes())
            except FileNotFoundError as error:
                _require_bucket(error)
                return None
        return Revision(data, _version(found.meta["e_tag"], found.meta["version"]))

    def download(self, key: str, file: Path, max_bytes: int) -> bool:
        """Write an object into a new file. False if there is no such object.

        Raises:
            OSError: the disk is full or may not be written.
        """
        with self._in_words("read"):
            try:
                found = obstore.get(self._store, key)
                self._require_size(key, found.meta["size"], max_bytes)
            except FileNotFoundError as error:
                _require_bucket(error)
                return False
        chunks = found.stream(min_chunk_size=1 << 20)
        with file.open("xb") as opened:
            while True:
                with self._in_words("read"):
                    chunk = next(chunks, None)
                if chunk is None:
                    return True
                opened.write(chunk)

    def put(self, key: str, data: Content) -> None:
        """Write an object, in place of one that may be there."""
        with self._in_words("written"):
            obstore.put(self._store, key, memoryview(data))

    def create(self, key: str, data: Content) -> bool:
        """Write an object that does not exist. False if there is one that this call has not written."""
        return self._write(key, data, "create")

    def replace(self, key: str, data: bytes, before: Revision | None) -> bool:
        """Write an object if it is still what it was before. False if it is not, and this call has not written it."""
        return self._write(key, data, "create" if before is None else before.version)

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects, in this order where one of them fails. What does not exist is no error."""
        with self._in_words("written"):
            for key in keys:
                obstore.delete(self._store, key)

    def _write(self, key: str, data: Content, mode: "PutMode") -> bool:
        write = {_WRITE: secrets.token_hex(16)}
        for attempt in range(1, _WRITES + 1):
            with self._in_words("written"):
                try:
                    obstore.put(self._store, key, memoryview(data), mode=mode, attributes=write)
                except (AlreadyExistsError, PreconditionError):
                    # Perhaps it is there because an earlier attempt was carried out, and only its answer was lost.
                    return self._written_by(key) == write[_WRITE]
                except PermissionDeniedError:
                    raise
                except BaseError:
                    if attempt == _WRITES:
                        raise
                else:
                    return True
            sleep(_WRITE_PAUSE_SECONDS * attempt)
        raise AssertionError("unreachable")

    def _written_by(self, key: str) -> str | None:
        try:
            attributes: Mapping[str, str] = obstore.get(self._store, key, options={"head": True}).attributes
        except FileNotFoundError:
            return None
        return attributes.get(_WRITE)

    def _require_size(self, key: str, size: int, max_bytes: int) -> None:
        if size > max_bytes:
            raise StorageError(f"{self._url}/{key}: {size} bytes long; at most {max_bytes} are read")

    @contextmanager
    def _in_words(self, done: str) -> Iterator[None]:
        try:
            yield
        except (BaseError, FileNotFoundError) as error:
            raise StorageError(f"the repository {self._url} cannot be {done}: {_reason(error)}") from None


def _require_bucket(error: FileNotFoundError) -> None:
    """Raise again unless an object is missing, and not the whole bucket."""
    if re.search(_NO_BUCKET, str(error)):
        raise error


def _version(e_tag: str | None, version: str | None) -> "UpdateVersion":
    # S3 refuses a condition on a version; Google's storage needs one.
    return {"e_tag": e_tag} if version is None else {"e_tag": e_tag, "version": version}


def _reason(error: Exception) -> str:
    message = str(error)
    for pattern, reason in _REASONS.items():
        if re.search(pattern, message):
            return reason
    status = _STATUS.search(message)
    return f"it answers {status[1].strip()}" if status else "it does not answer as expected"

"""What goes wrong with a storage, in words."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from models.errors import InvalidInput, StorageError
from models.repository.objects import Objects
from models.repository.repository import Repository
from tests.bundles import tiny_bundle
from tests.s3 import SECRET_KEY


@contextmanager
def answering(status: int, code: str) -> Iterator[str]:
    """An S3 endpoint that refuses everything. Yields its URL."""
    body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()

    class Refuse(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_PUT = do_GET  # noqa: N815 - the name that the server looks for

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Refuse) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (403, "AccessDenied", "the credentials do not permit it: grant them to list, read"),
        (403, "RequestTimeTooSkewed", "clock is not the storage's: set it"),
        (403, "InvalidAccessKeyId", "the credentials or the region are not valid.*AWS_ACCESS_KEY_ID"),
        (403, "SignatureDoesNotMatch", "the credentials or the region are not valid"),
        (400, "ExpiredToken", "the credentials have expired: renew them"),
        (404, "NoSuchBucket", "the bucket does not exist: create it"),
        (400, "Anything", "it answers 400 Bad Request"),
    ],
)
def test_what_the_storage_refuses(
    bucket: str, monkeypatch: pytest.MonkeyPatch, status: int, code: str, reason: str
) -> None:
    with answering(status, code) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        repository = Repository(bucket)

        for operation in (repository.listing, repository.validate_writable, lambda: repository.read("tiny", 1)):
            with pytest.raises(StorageError, match=reason) as raised:
                operation()
            assert bucket in str(raised.value)
            assert SECRET_KEY not in f"{raised.value}{raised.value.__cause__}"


def test_nobody_listens(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")

    with pytest.raises(StorageError, match="it does not take connections: check the endpoint and the network"):
        Repository(bucket).publish(tiny_bundle())


def test_a_host_that_does_not_exist(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://storage.invalid:9000")

    with pytest.raises(StorageError, match="the name of its host is not known"):
        Objects(bucket).list()


@pytest.mark.usefixtures("bucket")
def test_a_bucket_that_does_not_exist() -> None:
    for operation in (Repository("s3://nowhere/models").listing, Repository("s3://nowhere").validate_writable):
        with pytest.raises(StorageError, match=r"s3://nowhere.* the bucket does not exist"):
            operation()


def test_azure_without_an_account_is_refused_at_once() -> None:
    with pytest.raises(InvalidInput, match=r"repository: az://models: no credentials are found"):
        Repository("az://models")

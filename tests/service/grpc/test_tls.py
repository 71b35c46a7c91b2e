"""The certificate of gRPC's port."""

from pathlib import Path
from typing import Any

import grpc
import pytest

from models.repository.repository import Repository
from service.grpc.tls import ServerCertificate
from service.settings import Settings
from tests.service.certificates import make_certificate
from tests.service.grpc.client import Client
from tests.service.grpc.conftest import serving


def is_ready(address: str, **files: Any) -> bool:
    """Whether a client that trusts these roots gets an answer."""
    credentials = grpc.ssl_channel_credentials(**{name: path.read_bytes() for name, path in files.items()})
    options = [("grpc.ssl_target_name_override", "localhost")]
    with grpc.secure_channel(address, credentials, options) as channel:
        try:
            return bool(Client(channel).call("ServerReady").ready)
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.UNAVAILABLE:
                raise
            return False


def test_the_port_speaks_tls_where_http_does(repository: Repository, tmp_path: Path) -> None:
    own, other = make_certificate(tmp_path, "service"), make_certificate(tmp_path, "other")
    with serving(repository, ssl_certfile=own.certificate, ssl_keyfile=own.key) as secure:
        assert is_ready(secure.address, root_certificates=own.certificate)
        assert not is_ready(secure.address, root_certificates=other.certificate)
        with pytest.raises(grpc.RpcError):
            secure.grpc.call("ServerReady")


def test_clients_present_a_certificate_where_one_is_required(repository: Repository, tmp_path: Path) -> None:
    own, client = make_certificate(tmp_path, "service"), make_certificate(tmp_path, "client")
    files = {"ssl_certfile": own.certificate, "ssl_keyfile": own.key, "ssl_ca_certs": client.certificate}
    with serving(repository, **files) as secure:
        roots = {"root_certificates": own.certificate}
        assert not is_ready(secure.address, **roots)
        assert is_ready(secure.address, **roots, private_key=client.key, certificate_chain=client.certificate)


def test_a_renewed_certificate_is_read_and_a_broken_one_is_not(tmp_path: Path) -> None:
    own = make_certificate(tmp_path, "service")
    presented = ServerCertificate(Settings(ssl_certfile=own.certificate, ssl_keyfile=own.key))
    assert presented.renewed() is None

    own.certificate.write_text("no certificate")
    assert presented.renewed() is None
    make_certificate(tmp_path, "service")
    assert presented.renewed() is not None
    assert presented.renewed() is None


def test_an_encrypted_key_is_named(tmp_path: Path) -> None:
    own = make_certificate(tmp_path, "service", password="a-password")
    with pytest.raises(OSError, match="encrypted"):
        ServerCertificate(Settings(ssl_certfile=own.certificate, ssl_keyfile=own.key))

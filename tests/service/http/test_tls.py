"""The certificate of the port."""

import ssl
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client.core import Metric

from service.http.tls import Certificate, open_certificate
from service.http.tls_metrics import CertificateMetrics
from service.settings import Settings
from tests.service.certificates import Files, make_certificate


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def files(folder: Path) -> Files:
    return make_certificate(folder, "service")


def presented(certificate: Certificate, client: ssl.SSLContext | None = None) -> bytes:
    """The certificate that a client gets, in DER, by a handshake in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    if client is None:
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname = False
        client.verify_mode = ssl.CERT_NONE
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname="localhost"),
        certificate.context.wrap_bio(to_server, to_client, server_side=True),
    ]
    for turn in range(8):
        try:
            ends[turn % 2].do_handshake()
        except ssl.SSLWantReadError:
            continue
    found = ends[0].getpeercert(binary_form=True)
    assert found is not None
    return found


def der(files: Files) -> bytes:
    return ssl.PEM_cert_to_DER_cert(files.certificate.read_text())


def test_a_client_gets_the_certificate(files: Files) -> None:
    assert presented(Certificate(*files)) == der(files)


def test_one_file_may_have_the_certificate_and_the_key(files: Files, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_text(files.key.read_text() + files.certificate.read_text())

    assert presented(Certificate(both)) == der(files)


@pytest.mark.parametrize("days", [3, 30_000])  # before and after 2050, which X.509 writes in two ways
def test_the_expiry_is_what_openssl_says(tmp_path: Path, days: int) -> None:
    made = make_certificate(tmp_path, "expiring", days)
    said = subprocess.run(
        ["openssl", "x509", "-in", made.certificate, "-noout", "-enddate", "-dateopt", "iso_8601"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    expected = datetime.strptime(said.strip(), "notAfter=%Y-%m-%d %H:%M:%SZ").replace(tzinfo=UTC)

    certificate = Certificate(*made)
    assert certificate.expires == expected
    commented = tmp_path / "commented.pem"
    commented.write_text("a comment\n" + made.certificate.read_text())
    assert Certificate(commented, made.key).expires == expected
    (metric,) = CertificateMetrics(certificate).collect()
    assert isinstance(metric, Metric)
    assert [sample.value for sample in metric.samples] == [expected.timestamp()]
    assert list(CertificateMetrics(None).collect()) == []


def test_without_a_certificate_in_the_settings_there_is_none(files: Files) -> None:
    assert open_certificate(Settings()) is None
    opened = open_certificate(Settings(ssl_certfile=files.certificate, ssl_keyfile=files.key))
    assert opened is not None
    assert presented(opened) == der(files)


def test_an_encrypted_key_needs_its_password(tmp_path: Path) -> None:
    made = make_certificate(tmp_path, "encrypted", password="a-password")

    assert presented(Certificate(*made, password="a-password")) == der(made)
    for wrong in (None, "another"):
        with pytest.raises(OSError, match="the password is missing or wrong"):
            Certificate(*made, password=wrong)


def test_a_file_that_cannot_be_used_is_named_in_one_line(files: Files, tmp_path: Path) -> None:
    other = make_certificate(tmp_path, "other")
    text = tmp_path / "text"
    text.write_text("no certificate")

    for chain, key, roots, words in (
        (tmp_path / "none", None, None, "none: no such file"),
        (tmp_path, None, None, "is a directory"),
        (text, None, None, "not a PEM file"),
        (files.certificate, tmp_path / "none", None, "none: no such file"),
        (files.certificate, text, None, "not a PEM file"),
        (files.certificate, other.key, None, "does not belong to the certificate"),
        (*files, text, "text: not a PEM file"),
        (*files, tmp_path / "none", "none: no such file"),
    ):
        with pytest.raises(OSError, match=words) as caught:
            Certificate(chain, key, client_roots=roots)
        assert "\n" not in str(caught.value)


def test_a_client_without_a_certificate_is_refused_where_one_is_required(files: Files, tmp_path: Path) -> None:
    root = make_certificate(tmp_path, "root")
    trusted, strange = make_certificate(tmp_path, "client", issuer=root), make_certificate(tmp_path, "stranger")
    certificate = Certificate(*files, client_roots=root.certificate)

    def client(own: Files | None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=files.certificate)
        if own is not None:
            context.load_cert_chain(*own)
        return context

    assert presented(certificate, client(trusted)) == der(files)
    for refused in (None, strange):
        with pytest.raises(ssl.SSLError, match=r"certificate|CERTIFICATE|verify"):
            presented(certificate, client(refused))


def test_a_renewed_certificate_is_presented_after_a_reload(tmp_path: Path) -> None:
    first, renewed = make_certificate(tmp_path, "first"), make_certificate(tmp_path, "renewed", days=20)
    certificate = Certificate(*first)
    expires = certificate.expires

    first.key.write_bytes(renewed.key.read_bytes())
    certificate.reload()  # the key of another certificate
    assert (presented(certificate), certificate.expires) == (der(first), expires)

    first.certificate.write_bytes(renewed.certificate.read_bytes())
    certificate.reload()
    assert presented(certificate) == der(renewed)
    assert certificate.expires > expires

"""TLS of the port: the certificate of HTTP, in gRPC's own terms."""

from collections.abc import Sequence
from pathlib import Path

import grpc
import structlog

from service.http.tls import open_certificate
from service.settings import Settings

log = structlog.get_logger()


class ServerCertificate:
    """The files of the certificate. Renewed ones are presented from the next connection on, without a signal.

    Args:
        settings: name the files.

    Raises:
        OSError: a file cannot be used, or the private key is encrypted, which gRPC cannot read.
    """

    def __init__(self, settings: Settings) -> None:
        assert settings.ssl_certfile is not None  # noqa: S101
        self._settings = settings
        self._chain = settings.ssl_certfile
        self._key = settings.ssl_keyfile or settings.ssl_certfile
        files: Sequence[Path | None] = (self._chain, self._key, settings.ssl_ca_certs)
        self._files = [file for file in files if file is not None]
        if b"ENCRYPTED" in self._key.read_bytes():
            raise OSError(f"{self._key}: the private key is encrypted, which gRPC cannot read: decrypt it")
        self._seen = self._changed()
        self._configuration = self._read()

    def credentials(self) -> grpc.ServerCredentials:
        """What a port is opened with."""
        return grpc.dynamic_ssl_server_credentials(
            self._configuration,
            self.renewed,  # type: ignore[arg-type]  # the stubs leave None out
            require_client_authentication=self._settings.ssl_ca_certs is not None,
        )

    def renewed(self) -> grpc.ServerCertificateConfiguration | None:
        """The certificate, if its files have changed; None if they have not, or are not valid."""
        try:
            changed = self._changed()
            if changed == self._seen:
                return None
            self._seen = changed
            open_certificate(self._settings)
            self._configuration = self._read()
        except OSError as error:
            log.error("certificate_not_reloaded", error=str(error))
            return None
        log.info("certificate_reloaded", protocol="gRPC")
        return self._configuration

    def _changed(self) -> list[int]:
        return [file.stat().st_mtime_ns for file in self._files]

    def _read(self) -> grpc.ServerCertificateConfiguration:
        roots = self._settings.ssl_ca_certs
        return grpc.ssl_server_certificate_configuration(
            [(self._key.read_bytes(), self._chain.read_bytes())], None if roots is None else roots.read_bytes()
        )


def credentials(settings: Settings) -> grpc.ServerCredentials | None:
    """What the port is opened with; None where it does not speak TLS.

    Raises:
        OSError: a file cannot be used.
    """
    return None if settings.ssl_certfile is None else ServerCertificate(settings).credentials()

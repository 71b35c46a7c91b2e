"""TLS of the service's port: the certificate, its renewal, and the certificates of clients."""

import ssl
from datetime import datetime
from pathlib import Path

import structlog

from service.settings import Settings

log = structlog.get_logger()


class Certificate:
    """The certificate of the service, and the TLS context that presents it.

    Args:
        chain: PEM file with the certificate, followed by those between it and its root.
        key: PEM file with the private key; None if `chain` has it.
        password: of the private key, if it is encrypted.
        client_roots: PEM file with the roots of the certificates that clients must present. None asks for none.

    Raises:
        OSError: a file cannot be read, or is not valid. The message names the file.
    """

    def __init__(
        self, chain: Path, key: Path | None = None, password: str | None = None, client_roots: Path | None = None
    ) -> None:
        self._chain = chain
        self._key = key
        self._password = password
        self.context = _new_context()
        if client_roots is not None:
            try:
                self.context.load_verify_locations(client_roots)
            except OSError as error:
                raise OSError(f"{client_roots}: {_reason(error)}") from error
            self.context.verify_mode = ssl.CERT_REQUIRED
        self.expires = self._load(self.context)

    def reload(self) -> None:
        """Read the files again. New connections get the new certificate; if it is not valid, the old one stays."""
        try:
            self._load(_new_context())  # first into another context: a failure leaves half of a certificate
            self.expires = self._load(self.context)
        except OSError as error:
            log.error("certificate_not_reloaded", error=str(error))
        else:
            log.info("certificate_reloaded", expires=self.expires.isoformat())

    def _load(self, context: ssl.SSLContext) -> datetime:
        from cryptography import x509  # noqa: PLC0415 - slow to import, and only needed for TLS

        try:
            # An encrypted key without a password would be asked for at the terminal.
            context.load_cert_chain(self._chain, self._key, password=self._password or "")
            return x509.load_pem_x509_certificate(self._chain.read_bytes()).not_valid_after_utc
        except (OSError, ValueError) as error:
            files = str(self._chain) if self._key is None else f"{self._chain} with {self._key}"
            is_encrypted = isinstance(error, ssl.SSLError) and "ENCRYPTED" in (self._key or self._chain).read_text()
            reason = "the private key is encrypted: the password is missing or wrong" if is_encrypted else None
            raise OSError(f"{files}: {reason or _reason(error)}") from error


def open_certificate(settings: Settings) -> Certificate | None:
    """The certificate that the settings name; None where they name none.

    Raises:
        OSError: a file cannot be used.
        ConfigurationError: the file with the password cannot be used.
    """
    if settings.ssl_certfile is None:
        return None
    password = settings.read_key_password()
    return Certificate(settings.ssl_certfile, settings.ssl_keyfile, password, settings.ssl_ca_certs)


def _new_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def _reason(error: Exception) -> str:
    """Why a file cannot be used, in words."""
    if isinstance(error, ssl.SSLError):
        if error.reason == "KEY_VALUES_MISMATCH":
            return "the private key does not belong to the certificate"
        return "not a PEM file with what is expected"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error)

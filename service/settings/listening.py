"""Settings of where the service listens, and under which address clients see it."""

import ipaddress
import re
from typing import Self

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

from service.host import secret_files, sockets
from service.settings.kinds import NamedPath
from service.settings.secret_file import read_secret
from service.settings.variables import ENV_PREFIX

_ROOT_PATH = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
_ORIGIN = re.compile(r"https?://(\[[0-9a-f:]+\]|[a-z0-9.-]+)(:[0-9]{1,5})?")


class Listening(BaseModel, defer_build=True):
    """Addresses, ports, TLS, and what stands between the port and the clients."""

    host: str = Field(
        "127.0.0.1",
        description="IP addresses and names to listen on, separated by commas. `::` accepts IPv4 and IPv6.",
    )
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on. 0 chooses a free one.")
    uds: NamedPath | None = Field(None, description="Unix socket to listen on, in place of an address and a port.")
    uds_mode: str = Field(
        "660", pattern="^[0-7]{3}$", description="Permissions of the unix socket: who may connect to it."
    )
    ssl_certfile: NamedPath | None = Field(
        None, description="PEM file with the certificate and its chain. If set, the port speaks TLS only."
    )
    ssl_keyfile: NamedPath | None = Field(
        None, description="PEM file with the private key, if it is not in the file of the certificate."
    )
    ssl_keyfile_password: SecretStr | None = Field(None, description="Password of an encrypted private key.")
    ssl_keyfile_password_file: NamedPath | None = Field(None, description="File with the password of the private key.")
    ssl_ca_certs: NamedPath | None = Field(
        None,
        description="PEM file with certificate authorities. If set, clients must present a certificate of one of them.",
    )
    grpc_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="Port for gRPC, on the same address. 0 chooses a free one. If absent, no gRPC.",
    )
    root_path: str = Field(
        "", description="Beginning of the paths under which a proxy publishes the service, such as `/denge`."
    )
    trusted_proxies: str = Field(
        "",
        description="IP addresses and networks of proxies, separated by commas; `unix` is the unix socket. The client "
        "that these name in X-Forwarded-For or Forwarded is taken for the client; what others name is ignored.",
    )
    cors_origins: str = Field(
        "",
        description="Origins whose pages may use the service, such as `https://app.example`, separated by commas.",
    )

    @field_validator("host")
    @classmethod
    def _validate_host(cls, value: str) -> str:
        if not all(part.strip() for part in value.split(",")):
            raise ValueError("expected IP addresses or names, separated by commas; 0.0.0.0 or :: is every address")
        return value

    @field_validator("root_path")
    @classmethod
    def _validate_root_path(cls, value: str) -> str:
        if value and not _ROOT_PATH.fullmatch(value):
            raise ValueError("expected a path such as /denge, without a slash at the end")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _validate_proxies(cls, value: str) -> str:
        for entry in value.split(",") if value else ():
            if entry.strip() != "unix":
                ipaddress.ip_network(entry.strip())  # its message is for people
        return value

    @field_validator("cors_origins")
    @classmethod
    def _validate_origins(cls, value: str) -> str:
        for origin in value.split(",") if value else ():
            if not _ORIGIN.fullmatch(origin.strip()):
                raise ValueError("expected exact origins, such as https://app.example or http://localhost:3000")
        return value

    @model_validator(mode="after")
    def _require_certificate(self) -> Self:
        dependent = ("ssl_keyfile", "ssl_keyfile_password", "ssl_keyfile_password_file", "ssl_ca_certs")
        if self.ssl_certfile is None and (given := [name for name in dependent if getattr(self, name) is not None]):
            raise ValueError(f"{given[0]} requires a certificate: set {ENV_PREFIX}SSL_CERTFILE")
        return self

    def read_key_password(self) -> str | None:
        """Returns the password of the private key of the certificate.

        Raises:
            ConfigurationError: the file cannot be used.
        """
        if self.ssl_keyfile_password is not None:
            return self.ssl_keyfile_password.get_secret_value()
        return read_secret("ssl_keyfile_password_file", self.ssl_keyfile_password_file, secret_files.read_password)

    @property
    def allowed_origins(self) -> list[str]:
        """Origins whose pages may use the service."""
        return [origin.strip() for origin in self.cors_origins.split(",")] if self.cors_origins else []

    @property
    def uds_permissions(self) -> int:
        """Permissions of the unix socket."""
        return int(self.uds_mode, 8)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches all of the addresses."""
        try:
            return all(address.is_loopback for address in sockets.resolve(self.host))
        except OSError:
            return False

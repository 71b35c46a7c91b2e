"""All settings of the service."""

import socket
from math import ceil
from pathlib import Path
from typing import Self

import orjson
from pydantic import SecretStr, model_validator

from service.settings.access import Access
from service.settings.listening import Listening
from service.settings.loading import Loaded
from service.settings.memory import Memory
from service.settings.running import Running
from service.settings.serving import Serving
from service.settings.sharing import Sharing
from service.settings.telemetry import Telemetry
from service.settings.variables import ENV_PREFIX
from service.settings.waiting import Waiting
from service.settings.watching import Watching
from service.settings.webhook import Webhook


# Fields of the last base come first, in --help as well.
class Settings(Telemetry, Waiting, Memory, Webhook, Sharing, Watching, Running, Serving, Access, Listening, Loaded):
    """Serve batch-normalised networks over HTTP.

    Each setting is a flag (--max-body-mib), an environment variable (DENGE_MAX_BODY_MIB) and a key of the TOML file
    that DENGE_CONFIG names (max_body_mib). A flag overrides a variable, and a variable overrides the file.
    """

    @model_validator(mode="after")
    def _require_shared_store(self) -> Self:
        if self.workers > 1 and self.store == "memory":
            raise ValueError("store: memory is for one process, and workers is above 1: leave it out for sqlite")
        return self

    @model_validator(mode="after")
    def _require_admin_token(self) -> Self:
        has_token = self.admin_token is not None or self.admin_token_file is not None
        is_local = (self.uds is not None and self.grpc_port is None) or self.is_loopback
        if not (has_token or self.allow_anonymous_admin or is_local):
            raise ValueError(f"a service on {self.host} requires an admin token: set {ENV_PREFIX}ADMIN_TOKEN_FILE")
        return self

    @property
    def own_address(self) -> str:
        """URL at which other replicas reach this one."""
        if self.replica_address is not None:
            return self.replica_address
        if self.uds is not None:
            return f"unix://{self.uds.absolute()}"
        scheme = "http" if self.ssl_certfile is None else "https"
        host = "127.0.0.1" if self.is_loopback else socket.gethostname()
        return f"{scheme}://{host}:{self.port}"

    @property
    def state_folder(self) -> Path:
        """Folder for what survives a restart."""
        return self.state_dir or (self.repository / ".state" if isinstance(self.repository, Path) else Path(".state"))

    @property
    def cache_folder(self) -> Path:
        """Folder for what is downloaded from a bucket."""
        return self.cache_dir or self.state_folder / "cache"

    def for_worker(self) -> Self:
        """Settings of each worker: its share of the limits, and the tokens themselves, since their files are read once.

        Raises:
            ConfigurationError: a file with tokens cannot be used.
        """
        token, keys, password = self.read_admin_token(), self.read_api_keys(), self.read_key_password()
        return self.model_copy(
            update={
                "concurrency": ceil(self.concurrency / self.workers),
                "max_pending": ceil(self.max_pending / self.workers),
                "admin_token": token and SecretStr(token),
                "api_keys": SecretStr(",".join(keys)) if keys else None,
                "ssl_keyfile_password": password and SecretStr(password),
                "store": self.store or "sqlite",
            }
        )

    def to_json(self) -> bytes:
        """The settings for another process, secrets included."""
        return orjson.dumps(self.model_dump(), default=_plain)


def from_json(text: str) -> Settings:
    """Settings from another process. The environment is not read."""
    return Settings(**orjson.loads(text))


def _plain(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)

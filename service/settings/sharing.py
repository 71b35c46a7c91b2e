"""Settings of what replicas share, and of what survives a restart."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, Field, field_validator

from service.host import secret_files
from service.settings.kinds import Folder, HttpUrl, NamedPath
from service.settings.secret_file import read_secret
from service.settings.variables import ENV_PREFIX

STORE_SCHEMES = ("redis://", "rediss://", "valkey://", "valkeys://", "unix://")
"""How the URL of a store begins."""


class Sharing(BaseModel, defer_build=True):
    """The folder of the state, the store, and the address of this replica."""

    state_dir: Folder | None = Field(
        None,
        description="Folder for observations and re-calibration jobs, which survive a restart. If absent, "
        "<repository>/.state; for a bucket .state in the working directory.",
    )
    store: str | None = Field(
        None,
        description="Where replicas share what concerns more than one request: `memory`, for one process; `sqlite`, a "
        "file in state_dir, for processes of one machine; or the URL of Valkey or Redis, with redis://, rediss:// "
        "(TLS), valkey://, valkeys:// (TLS) or unix://. If absent, memory, and with several workers sqlite.",
    )
    store_password_file: NamedPath | None = Field(None, description="File with the password of Valkey or Redis.")
    replica_address: Annotated[HttpUrl, AfterValidator(lambda url: url.rstrip("/"))] | None = Field(
        None,
        description="URL at which the other replicas reach this one, such as http://10.0.0.7:8000. If absent, that of "
        "this machine's name and the port.",
    )

    @field_validator("store")
    @classmethod
    def _validate_store(cls, value: str | None) -> str | None:
        if value is not None and value not in {"memory", "sqlite"}:
            parts = urlsplit(value)
            if not value.startswith(STORE_SCHEMES) or not (parts.hostname or parts.scheme == "unix"):
                raise ValueError(f"expected memory, sqlite, or a URL that begins with {', '.join(STORE_SCHEMES)}")
            if parts.password is not None:
                raise ValueError(f"the password belongs in a file: set {ENV_PREFIX}STORE_PASSWORD_FILE")
        return value

    def read_store_password(self) -> str | None:
        """Returns the password of the store.

        Raises:
            ConfigurationError: the file cannot be used.
        """
        return read_secret("store_password_file", self.store_password_file, secret_files.read_password)

"""Settings of the service, by flag, environment variable or file. Nothing else reads the environment."""

import ipaddress
import os
import re
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

import orjson
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from models.errors import InvalidInput
from models.repository.location import parse_location
from models.validation import describe, field_of
from service.host import cores, credentials, secret_files, sockets

ENV_PREFIX = "DENGE_"
CONFIG_VARIABLE = "DENGE_CONFIG"

STOP_GRACE_SECONDS = 5.0
"""To save what is kept over a restart, after the last request."""

Content = TypeVar("Content")

Mebibytes = Annotated[int, Field(gt=0, le=2047)]

_SECRET = {"admin_token", "api_keys", "repository", "ssl_keyfile_password", "store", "webhook_secret", "webhook_url"}
"""Settings whose values no message repeats. The URLs may have a password in them."""

STORE_SCHEMES = ("redis://", "rediss://", "valkey://", "valkeys://", "unix://")
"""How the URL of a store begins."""


_ROOT_PATH = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
_ORIGIN = re.compile(r"https?://(\[[0-9a-f:]+\]|[a-z0-9.-]+)(:[0-9]{1,5})?")


class ConfigurationError(Exception):
    """The settings are invalid. The message is for the person who wrote them."""


class Settings(BaseSettings):
    """Serve batch-normalised networks over HTTP.

    Each setting is a flag (--max-body-mib), an environment variable (DENGE_MAX_BODY_MIB) and a key of the TOML file
    that DENGE_CONFIG names (max_body_mib). A flag overrides a variable, and a variable overrides the file.
    """

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        extra="forbid",
        frozen=True,
    )

    host: str = Field(
        "127.0.0.1",
        description="IP addresses and names to listen on, separated by commas. `::` accepts IPv4 and IPv6.",
    )
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on. 0 chooses a free one.")
    uds: Path | None = Field(None, description="Unix socket to listen on, in place of an address and a port.")
    uds_mode: str = Field(
        "660", pattern="^[0-7]{3}$", description="Permissions of the unix socket: who may connect to it."
    )
    ssl_certfile: Path | None = Field(
        None, description="PEM file with the certificate and its chain. If set, the port speaks TLS only."
    )
    ssl_keyfile: Path | None = Field(
        None, description="PEM file with the private key, if it is not in the file of the certificate."
    )
    ssl_keyfile_password: SecretStr | None = Field(None, description="Password of an encrypted private key.")
    ssl_keyfile_password_file: Path | None = Field(None, description="File with the password of the private key.")
    ssl_ca_certs: Path | None = Field(
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
    admin_token: credentials.Token | None = Field(
        None,
        description="Token required by requests that change what is served. Without one, such requests are open to "
        "everyone on a loopback address, and the service does not start on any other address.",
    )
    admin_token_file: Path | None = Field(
        None, description="File with the admin token. Created with a random token if it does not exist."
    )
    allow_anonymous_admin: bool = Field(
        False,
        description="Start on any address without an admin token. Everyone who reaches the port may then change what "
        "is served.",
    )
    api_keys: credentials.Keys | None = Field(
        None, description="API keys, separated by commas. If set, predictions require one of them."
    )
    api_keys_file: Path | None = Field(None, description="File with the API keys, one per line.")
    repository: Path | str = Field(
        Path("repository"),
        description="Folder of the models, as <repository>/<model>/<version>/, or URL of a bucket: s3://bucket/prefix, "
        "gs://bucket/prefix or az://container/prefix. Credentials, region and endpoint come from the variables of the "
        "storage, such as AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL.",
    )
    cache_dir: Path | None = Field(
        None, description="Folder for what is downloaded from a bucket. If absent, <state_dir>/cache."
    )
    cache_mib: int = Field(
        10240,
        gt=0,
        description="Most disk space for what is downloaded from a bucket, in MiB. The least recently used "
        "versions are deleted.",
    )
    model_path: Path | None = Field(
        None,
        description="One model to serve: a bundle, a model's folder of versions, an ONNX file, or a folder with one. "
        "It is only read, and copied into the repository at the start. No starter models then.",
    )
    model_name: str | None = Field(None, description="Name of the model of model_path.")
    starters: bool = Field(True, description="Copy the starter models into an empty repository.")
    loaded_versions: int = Field(
        2, ge=1, description="Number of newest versions of each model to keep loaded, besides the default version."
    )
    provider: Literal["cpu", "cuda"] = Field(
        "cpu", description="Execution provider that runs the models. The service does not start if it is not available."
    )
    workers: int = Field(
        1, ge=1, le=128, description="Replicas on the one port, each a process. One more process keeps them running."
    )
    threads: int = Field(1, ge=1, description="Threads within one run of a model.")
    concurrency: int = Field(default_factory=cores.count_usable, ge=1, description="Runs at the same time.")
    max_pending: int = Field(
        256, ge=1, description="Predictions waiting or running at the same time. Further ones are refused with 503."
    )
    max_batch_rows: int = Field(
        32, ge=1, description="Most rows of one batch. Waiting requests are combined up to it; 1 combines none."
    )
    batch_wait_ms: float = Field(
        0.0, ge=0, description="How long a batch that is not full waits for more requests while another one runs."
    )
    inline_ms: float = Field(
        1.0, ge=0, description="Runs expected to be shorter start at once, without batching and without a thread."
    )
    load_seconds: float = Field(
        60.0,
        ge=0,
        description="How long a new version may take to load, in a process of its own, before the service loads it. "
        "0 loads it without this trial.",
    )
    load_mib: int = Field(8192, ge=256, description="Most memory that a new version may take in its trial, in MiB.")
    run_seconds: float = Field(60.0, gt=0, description="How long a run of a model may take before it is ended.")
    nan: Literal["refuse", "accept"] = Field(
        "refuse", description="Whether NaN and infinities in the inputs of a model are refused with 400 or accepted."
    )
    watch_percent: float = Field(
        0.5,
        ge=0,
        le=100,
        description="Most processor time to spend on observing normalisation layers under load, in percent. "
        "0 observes nothing.",
    )
    drift_window_rows: int = Field(
        256, ge=16, le=1 << 20, description="Rows in each of the windows that drift alarms are raised on."
    )
    false_alarm_rate: float = Field(
        0.01, gt=0, lt=1, description="Share of drift windows that are significant although the input has not moved."
    )
    state_dir: Path | None = Field(
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
    store_password_file: Path | None = Field(None, description="File with the password of Valkey or Redis.")
    replica_address: str | None = Field(
        None,
        description="URL at which the other replicas reach this one, such as http://10.0.0.7:8000. If absent, that of "
        "this machine's name and the port.",
    )
    webhook_url: str | None = Field(None, description="URL that receives a message when a drift alarm begins or ends.")
    webhook_secret: credentials.WebhookSecret | None = Field(
        None,
        description="Secret that signs webhook messages: `whsec_` and base64, or any text. Required by webhook_url.",
    )
    webhook_secret_file: Path | None = Field(None, description="File with the webhook secret.")
    max_body_mib: Mebibytes = Field(64, description="Largest request body, in MiB.")
    max_bodies_mib: int | None = Field(
        None,
        gt=0,
        description="Most memory for the bodies of all requests in flight, in MiB. Further ones are refused with 503, "
        "and so are those of a client that has as much as is left for others. If absent, 8 times max_body_mib.",
    )
    codec_mib: Mebibytes = Field(
        256,
        description="Most memory for decoding large bodies and images and encoding large responses at the same time, "
        "in MiB. What does not fit waits; 503 when too many wait.",
    )
    max_image_megapixels: float = Field(
        32.0, gt=0, description="Largest image, in millions of pixels, and all images of one request together."
    )
    max_collected_mib: Mebibytes = Field(
        64, description="Most memory for the rows collected by one re-calibration, in MiB."
    )
    head_seconds: float = Field(
        20.0, gt=0, description="How long the head of a request may take, and the first byte on a new connection."
    )
    body_seconds: float = Field(60.0, gt=0, description="How long the body of a request may take.")
    write_seconds: float = Field(
        60.0, gt=0, description="How long a client may take to read the next 64 KiB of its response."
    )
    keep_alive_seconds: int = Field(
        75, ge=1, description="How long an idle connection stays open. Set it longer than that of a proxy in front."
    )
    shutdown_delay_seconds: float = Field(
        0.0, ge=0, description="How long to go on serving after SIGTERM, as not ready, before the port closes."
    )
    drain_seconds: int = Field(
        30, ge=1, description="How long requests in flight may take to finish after the port has closed."
    )
    traces: Literal["none", "otlp"] = Field(
        "none",
        description="Whether to trace requests by OpenTelemetry and export the spans by OTLP over HTTP. The standard "
        "OTEL_* variables configure the exporter.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Lowest level to log.")
    log_format: Literal["json", "console"] = Field(
        "json", description="Format of the log: one JSON object per line, or text for people."
    )

    @classmethod
    def from_flags(cls, given: Mapping[str, Any]) -> Self:
        """The settings from flags, environment and file.

        Args:
            given: flags by name of the setting, as text; switches as booleans.

        Raises:
            ConfigurationError: a value is invalid, or a name is not a setting.
        """
        _refuse_unknown_variables(os.environ)
        if (file := os.environ.get(CONFIG_VARIABLE)) and not Path(file).is_file():
            raise ConfigurationError(f"{CONFIG_VARIABLE}: the file {file} does not exist")
        try:
            return cls(**given)
        except ValidationError as error:
            raise ConfigurationError("\n".join(_describe(problem) for problem in error.errors())) from error
        except (SettingsError, ValueError) as error:
            raise ConfigurationError(str(error)) from error

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, then environment, then file: the first with a value wins."""
        sources = [init_settings, env_settings]
        if file := os.environ.get(CONFIG_VARIABLE):
            sources.append(TomlConfigSettingsSource(settings_cls, toml_file=file))
        return tuple(sources)

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

    @field_validator("repository", mode="before")
    @classmethod
    def _parse_repository(cls, value: Path | str) -> Path | str:
        try:
            return parse_location(value)
        except InvalidInput as error:
            raise ValueError(str(error).removeprefix("repository: ")) from error

    @field_validator("repository", "state_dir", "cache_dir")
    @classmethod
    def _validate_folder(cls, value: Path | str | None) -> Path | str | None:
        if isinstance(value, Path) and value.exists() and not value.is_dir():
            raise ValueError("expected a folder, and a file is there")
        return value

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

    @field_validator("replica_address")
    @classmethod
    def _validate_replica_address(cls, value: str | None) -> str | None:
        return None if value is None else _validate_http_url(value).rstrip("/")

    @field_validator("webhook_url")
    @classmethod
    def _validate_webhook_url(cls, value: str | None) -> str | None:
        return None if value is None else _validate_http_url(value)

    @model_validator(mode="after")
    def _require_webhook_secret(self) -> Self:
        if self.webhook_url is not None and self.webhook_secret is None and self.webhook_secret_file is None:
            raise ValueError(f"webhook_url requires a secret: set {ENV_PREFIX}WEBHOOK_SECRET_FILE")
        return self

    @model_validator(mode="after")
    def _require_shared_store(self) -> Self:
        if self.workers > 1 and self.store == "memory":
            raise ValueError("store: memory is for one process, and workers is above 1: leave it out for sqlite")
        return self

    @model_validator(mode="after")
    def _require_path_and_name(self) -> Self:
        if (self.model_path is None) != (self.model_name is None):
            raise ValueError("model_path and model_name come together")
        return self

    @model_validator(mode="after")
    def _require_certificate(self) -> Self:
        dependent = ("ssl_keyfile", "ssl_keyfile_password", "ssl_keyfile_password_file", "ssl_ca_certs")
        if self.ssl_certfile is None and (given := [name for name in dependent if getattr(self, name) is not None]):
            raise ValueError(f"{given[0]} requires a certificate: set {ENV_PREFIX}SSL_CERTFILE")
        return self

    @model_validator(mode="after")
    def _require_admin_token(self) -> Self:
        has_token = self.admin_token is not None or self.admin_token_file is not None
        is_local = (self.uds is not None and self.grpc_port is None) or _is_loopback(self.host)
        if not (has_token or self.allow_anonymous_admin or is_local):
            raise ValueError(f"a service on {self.host} requires an admin token: set {ENV_PREFIX}ADMIN_TOKEN_FILE")
        return self

    @model_validator(mode="after")
    def _require_room_for_a_body(self) -> Self:
        if self.max_bodies_mib is not None and self.max_bodies_mib < 2 * self.max_body_mib:
            raise ValueError("max_bodies_mib: a client may use half of it, so it is at least twice max_body_mib")
        return self

    def read_admin_token(self) -> str | None:
        """Returns the admin token, and creates it if its file does not exist yet.

        Raises:
            ConfigurationError: the file cannot be used.
        """
        if self.admin_token is not None:
            return self.admin_token.get_secret_value()
        return _read_file("admin_token_file", self.admin_token_file, secret_files.read_or_create_token)

    def read_api_keys(self) -> list[str]:
        """Returns the API keys.

        Raises:
            ConfigurationError: the file cannot be used, or holds no key.
        """
        if self.api_keys is not None:
            return credentials.split_keys(self.api_keys)
        return _read_file("api_keys_file", self.api_keys_file, secret_files.read_keys) or []

    def read_webhook_key(self) -> bytes:
        """Returns the key that signs webhook messages; empty if there is no webhook.

        Raises:
            ConfigurationError: the file cannot be used.
        """
        if self.webhook_url is None:
            return b""
        if self.webhook_secret is not None:
            return credentials.signing_key(self.webhook_secret.get_secret_value())
        return _read_file("webhook_secret_file", self.webhook_secret_file, secret_files.read_signing_key) or b""

    def read_store_password(self) -> str | None:
        """Returns the password of the store.

        Raises:
            ConfigurationError: the file cannot be used.
        """
        return _read_file("store_password_file", self.store_password_file, secret_files.read_password)

    def read_key_password(self) -> str | None:
        """Returns the password of the private key of the certificate.

        Raises:
            ConfigurationError: the file cannot be used.
        """
        if self.ssl_keyfile_password is not None:
            return self.ssl_keyfile_password.get_secret_value()
        return _read_file("ssl_keyfile_password_file", self.ssl_keyfile_password_file, secret_files.read_password)

    @property
    def allowed_origins(self) -> list[str]:
        """Origins whose pages may use the service."""
        return [origin.strip() for origin in self.cors_origins.split(",")] if self.cors_origins else []

    @property
    def uds_permissions(self) -> int:
        """Permissions of the unix socket."""
        return int(self.uds_mode, 8)

    @property
    def own_address(self) -> str:
        """URL at which other replicas reach this one."""
        if self.replica_address is not None:
            return self.replica_address
        if self.uds is not None:
            return f"unix://{self.uds.absolute()}"
        scheme = "http" if self.ssl_certfile is None else "https"
        host = "127.0.0.1" if _is_loopback(self.host) else socket.gethostname()
        return f"{scheme}://{host}:{self.port}"

    @property
    def max_body_bytes(self) -> int:
        """Largest request body, in bytes."""
        return self.max_body_mib << 20

    @property
    def change_seconds(self) -> float:
        """How long a request waits for a change of what is served: for the trial of a new version, and for disks."""
        return self.load_seconds + 60.0

    @property
    def stop_seconds(self) -> float:
        """Longest time from SIGTERM to the end of the process."""
        return self.shutdown_delay_seconds + self.drain_seconds + STOP_GRACE_SECONDS

    @property
    def max_load_bytes(self) -> int:
        """Most memory for the trial of a version, in bytes."""
        return self.load_mib << 20

    @property
    def max_bodies_bytes(self) -> int:
        """Most memory for the bodies of all requests in flight, in bytes."""
        return (8 * self.max_body_mib if self.max_bodies_mib is None else self.max_bodies_mib) << 20

    @property
    def codec_bytes(self) -> int:
        """Most memory for decoding and encoding what is large, in bytes."""
        return self.codec_mib << 20

    @property
    def finite(self) -> bool:
        """Whether NaN and infinities are refused."""
        return self.nan == "refuse"

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

    @property
    def state_folder(self) -> Path:
        """Folder for what survives a restart."""
        return self.state_dir or (self.repository / ".state" if isinstance(self.repository, Path) else Path(".state"))

    @property
    def cache_folder(self) -> Path:
        """Folder for what is downloaded from a bucket."""
        return self.cache_dir or self.state_folder / "cache"

    @property
    def cache_bytes(self) -> int:
        """Most disk space for what is downloaded from a bucket, in bytes."""
        return self.cache_mib << 20

    @property
    def max_collected_bytes(self) -> int:
        """Most memory for collected rows, in bytes."""
        return self.max_collected_mib << 20

    @property
    def max_image_pixels(self) -> int:
        """Largest image, in pixels."""
        return int(self.max_image_megapixels * 1e6)


def load(arguments: Sequence[str] | None = None) -> Settings:
    """Load the settings from flags, environment and file. With `--help` among the flags, print it and exit.

    Args:
        arguments: the command line without the name of the program; None reads no flags.

    Raises:
        ConfigurationError: a value is invalid, or a name is not a setting.
    """
    if arguments is None:
        return Settings.from_flags({})
    # Not needed by workers, and slow to import.
    from cyclopts import CycloptsError  # noqa: PLC0415

    from service.host.flags import build_app  # noqa: PLC0415

    app = build_app("python -m service", Settings.__doc__ or "", Settings.model_fields, Settings.from_flags)
    try:
        loaded: Settings | None = app(arguments, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        raise ConfigurationError(str(error)) from error
    if loaded is None:  # the help has been printed
        sys.exit()
    return loaded


def from_json(text: str) -> Settings:
    """Settings from another process. The environment is not read."""
    return Settings(**orjson.loads(text))


def _plain(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def _refuse_unknown_variables(environ: Mapping[str, str]) -> None:
    # pydantic-settings ignores unknown variables even with extra="forbid": a misspelt one would have no effect.
    known = {f"{ENV_PREFIX}{name}".upper() for name in Settings.model_fields} | {CONFIG_VARIABLE}
    unknown = sorted(name for name in environ if name.upper().startswith(ENV_PREFIX) and name.upper() not in known)
    if unknown:
        raise ConfigurationError(f"{unknown[0]} is not a setting; the settings are {', '.join(sorted(known))}")


def _describe(problem: Any) -> str:
    name = field_of(problem)
    if not name:  # of several settings, secrets among them
        return describe(problem, with_value=False)
    return f"{name}: {describe(problem, with_value=name not in _SECRET)}"


def _read_file(setting: str, path: Path | None, read: Callable[[Path], Content]) -> Content | None:
    try:
        return None if path is None else read(path)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{setting}: {error}") from error


def _validate_http_url(value: str) -> str:
    """Returns the URL.

    Raises:
        ValueError: it is none of HTTP, or has no host.
    """
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("expected a URL with a host that begins with https:// or http://")
    return value


def _is_loopback(hosts: str) -> bool:
    """Whether only this machine reaches all of the addresses."""
    try:
        return all(address.is_loopback for address in sockets.resolve(hosts))
    except OSError:
        return False

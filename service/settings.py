"""The only reader of the environment: what can be set, by flag, environment variable or file."""

import ipaddress
import os
from collections.abc import Callable, Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

import orjson
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    CliApp,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from service.host import cores, credentials, secret_files

ENV_PREFIX = "DENGE_"
CONFIG_VARIABLE = "DENGE_CONFIG"

Content = TypeVar("Content")

Mebibytes = Annotated[int, Field(gt=0, le=2047)]


class ConfigurationError(Exception):
    """The settings are wrong. The message is for the person who wrote them."""


class Settings(BaseSettings):
    """Serve batch-normalised networks over HTTP.

    Every flag has a variable of the same name, `--max-body-mib` and DENGE_MAX_BODY_MIB, and a line of the same name in
    the TOML file that DENGE_CONFIG names. A flag wins over a variable, and a variable over the file.
    """

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        extra="forbid",
        frozen=True,
        cli_prog_name="python -m service",
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_hide_none_type=True,
        cli_avoid_json=True,
    )

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    admin_token: credentials.Token | None = Field(
        None,
        description="Token that changes of what is served need. Without one they are open on a loopback address, and "
        "on any other the service does not start.",
    )
    admin_token_file: Path | None = Field(
        None, description="File that holds it, where it is not given itself. If there is no such file, it is made."
    )
    let_anyone_administer: bool = Field(
        False, description="Start on any address without an admin token: who reaches it may change what is served."
    )
    api_keys: credentials.Keys | None = Field(
        None, description="Keys, separated by commas, of which predictions need one. Without any they are open."
    )
    api_keys_file: Path | None = Field(None, description="File that holds them, one a line, where they are not given.")
    repository: Path = Field(Path("repository"), description="Folder of the models: <repository>/<model>/<version>/.")
    starters: bool = Field(True, description="Fill an empty repository with the starter models.")
    loaded_versions: int = Field(
        2, ge=1, description="How many of each model's newest versions are kept loaded, besides the default one."
    )
    provider: Literal["cpu", "cuda"] = Field(
        "cpu", description="What runs the models. The service refuses to start where this one does not work."
    )
    workers: int = Field(
        1, ge=1, le=128, description="Processes that answer predictions; several have one more that controls them."
    )
    threads: int = Field(1, ge=1, description="Threads inside one run of a model.")
    concurrency: int = Field(default_factory=cores.count_usable, ge=1, description="Runs of models at the same time.")
    max_pending: int = Field(
        256, ge=1, description="Requests that may wait for a run or be in one; more are refused with 503 at once."
    )
    max_batch_rows: int = Field(
        32, ge=1, description="Rows of waiting requests that are joined into one run; 1 joins none."
    )
    batch_wait_ms: float = Field(
        0.0, ge=0, description="How long a batch that is not full may wait for more while another one runs."
    )
    inline_ms: float = Field(
        1.0, ge=0, description="Runs expected to be shorter are done at once, without a thread and without joining."
    )
    nan: Literal["refuse", "accept"] = Field(
        "refuse", description="What becomes of NaN and infinities in the inputs of a model."
    )
    watch_percent: float = Field(
        0.5,
        ge=0,
        le=100,
        description="Share of the processor time that may go into watching the layers; 0 watches nothing.",
    )
    drift_window_rows: int = Field(
        256, ge=16, le=1 << 20, description="Rows of the windows on which drift alarms are raised."
    )
    false_alarm_rate: float = Field(
        0.01, gt=0, lt=1, description="Share of these windows that are significant although nothing has moved."
    )
    state_dir: Path | None = Field(
        None,
        description="Folder where observations and jobs outlive the process; `<repository>/.state` when absent.",
    )
    webhook_url: str | None = Field(None, description="Address that is told of drift alarms that begin or end.")
    webhook_secret: credentials.WebhookSecret | None = Field(
        None, description="What these messages are signed with: `whsec_` and base64, or any text. An address needs one."
    )
    webhook_secret_file: Path | None = Field(None, description="File that holds it, where it is not given itself.")
    max_body_mib: Mebibytes = Field(64, description="Largest request body that is read, in MiB.")
    max_image_megapixels: float = Field(32.0, gt=0, description="Largest image that is decoded, in millions of pixels.")
    max_collected_mib: Mebibytes = Field(
        64, description="Most that the rows collected for one re-calibration take, in MiB."
    )
    keep_alive_seconds: int = Field(
        75, ge=1, description="How long an idle connection is kept: longer than the proxy in front keeps it."
    )
    shutdown_delay_seconds: float = Field(
        0.0, ge=0, description="After SIGTERM, how long to answer 'not ready' and go on serving before the port closes."
    )
    drain_seconds: int = Field(30, ge=1, description="After that, how long requests in flight may take to finish.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")
    log_format: Literal["json", "console"] = Field("json", description="One JSON object a line, or text for people.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, then environment, then file: the first that has a value wins."""
        sources = [init_settings, env_settings]
        if file := os.environ.get(CONFIG_VARIABLE):
            sources.append(TomlConfigSettingsSource(settings_cls, toml_file=file))
        return tuple(sources)

    @field_validator("webhook_url")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is not None:
            parts = urlsplit(value)
            if parts.scheme not in {"http", "https"} or not parts.hostname:
                raise ValueError("an address begins with https:// or http:// and names a host")
        return value

    @model_validator(mode="after")
    def _signs(self) -> Self:
        if self.webhook_url is not None and self.webhook_secret is None and self.webhook_secret_file is None:
            raise ValueError(f"webhook_url needs a secret: set {ENV_PREFIX}WEBHOOK_SECRET_FILE")
        return self

    @model_validator(mode="after")
    def _not_open_to_all(self) -> Self:
        has_token = self.admin_token is not None or self.admin_token_file is not None
        if not (has_token or self.let_anyone_administer or _is_loopback(self.host)):
            raise ValueError(f"a service on {self.host} needs an admin token: set {ENV_PREFIX}ADMIN_TOKEN_FILE")
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

    @property
    def max_body_bytes(self) -> int:
        """The body limit in bytes."""
        return self.max_body_mib << 20

    @property
    def finite(self) -> bool:
        """Whether NaN and infinities are refused."""
        return self.nan == "refuse"

    def of_worker(self) -> Self:
        """What each worker gets: its share of what may run and wait, and the tokens themselves, read once for all.

        Raises:
            ConfigurationError: a file of tokens cannot be used.
        """
        token, keys = self.read_admin_token(), self.read_api_keys()
        return self.model_copy(
            update={
                "concurrency": ceil(self.concurrency / self.workers),
                "max_pending": ceil(self.max_pending / self.workers),
                "admin_token": token and SecretStr(token),
                "api_keys": SecretStr(",".join(keys)) if keys else None,
                "webhook_url": None,
                "webhook_secret": None,
            }
        )

    def to_json(self) -> bytes:
        """For another process."""
        return orjson.dumps(self.model_dump(), default=_plain)

    @property
    def state_folder(self) -> Path:
        """Where what the service remembers outlives the process."""
        return self.state_dir or self.repository / ".state"

    @property
    def max_collected_bytes(self) -> int:
        """The limit on collected rows in bytes."""
        return self.max_collected_mib << 20

    @property
    def max_image_pixels(self) -> int:
        """The image limit in pixels."""
        return int(self.max_image_megapixels * 1e6)


def load(arguments: Sequence[str] | None = None) -> Settings:
    """Settings from flags, environment and file.

    Args:
        arguments: the command line without the program's name; None reads no flags.

    Raises:
        ConfigurationError: a value is wrong, or a name is not a setting's.
    """
    _refuse_unknown_variables(os.environ)
    if (file := os.environ.get(CONFIG_VARIABLE)) and not Path(file).is_file():
        raise ConfigurationError(f"{CONFIG_VARIABLE} names a file that does not exist: {file}")
    try:
        if arguments is None:
            return Settings()
        return CliApp.run(Settings, cli_args=list(arguments))
    except ValidationError as error:
        raise ConfigurationError("\n".join(_readable(problem) for problem in error.errors())) from error
    except (SettingsError, ValueError) as error:
        raise ConfigurationError(str(error)) from error


def from_json(text: str) -> Settings:
    """Settings of another process, whatever the environment says."""
    return Settings(**orjson.loads(text))


def _plain(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def _refuse_unknown_variables(environ: Mapping[str, str]) -> None:
    # pydantic-settings passes over unknown variables even with extra="forbid", so that a misspelt one would do nothing.
    known = {f"{ENV_PREFIX}{name}".upper() for name in Settings.model_fields} | {CONFIG_VARIABLE}
    unknown = sorted(name for name in environ if name.upper().startswith(ENV_PREFIX) and name.upper() not in known)
    if unknown:
        raise ConfigurationError(f"{unknown[0]} is not a setting. The settings are: {', '.join(sorted(known))}")


def _readable(problem: Any) -> str:
    if not problem["loc"]:  # it is about several, and not all of them are for other eyes
        return str(problem["ctx"]["error"])
    name = ".".join(str(part) for part in problem["loc"])
    if name in {"admin_token", "api_keys", "webhook_secret", "webhook_url"}:
        return f"{name}: {problem['msg']}"
    return f"{name}: {problem['msg']} (got {problem['input']!r})"


def _read_file(setting: str, path: Path | None, read: Callable[[Path], Content]) -> Content | None:
    try:
        return None if path is None else read(path)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{setting}: {error}") from error


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

"""Settings by flag, environment and file."""

import base64
import os
import socket
from pathlib import Path

import pytest

from service import settings
from service.settings import ConfigurationError, Settings

DOCUMENTATION = Path(__file__).parents[3] / "docs" / "configuration.md"
WEBHOOK_URL = "https://alarms.example/denge"
WEBHOOK_KEY = b"0123456789abcdef"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(settings.ENV_PREFIX):
            monkeypatch.delenv(name)


def test_a_flag_wins_over_a_variable_and_a_variable_over_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "denge.toml"
    file.write_text('port = 1\nthreads = 2\nlog_level = "debug"\n')
    monkeypatch.setenv("DENGE_CONFIG", str(file))
    monkeypatch.setenv("DENGE_PORT", "3")
    monkeypatch.setenv("DENGE_THREADS", "4")

    chosen = settings.load(["--threads", "5"])

    assert (chosen.threads, chosen.port, chosen.log_level, chosen.host) == (5, 3, "debug", "127.0.0.1")


def test_limits_are_in_bytes_and_pixels() -> None:
    chosen = settings.load(["--max-body-mib", "2", "--max-image-megapixels", "0.5"])

    assert (chosen.max_body_bytes, chosen.max_image_pixels) == (2 * 1024 * 1024, 500_000)


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("DENGE_PROT", "did you mean 'DENGE_PORT'"),
        ("denge_hots", "did you mean 'DENGE_HOST'"),
        ("DENGE_", "did you mean"),
    ],
)
def test_a_misspelt_variable_is_an_error(monkeypatch: pytest.MonkeyPatch, name: str, suggestion: str) -> None:
    monkeypatch.setenv(name, "x")

    with pytest.raises(ConfigurationError, match=rf"{name} is not a setting, {suggestion}"):
        settings.load([])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prot = 1", "prot is not a setting, did you mean 'port'?"),
        ("port = 'x'", "port"),
        ("port =", r"DENGE_CONFIG: the file .*\.toml cannot be read: Invalid value"),
        ("repository = 5", "repository: expected a"),
    ],
)
def test_a_wrong_file_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "denge.toml"
    file.write_text(text)
    monkeypatch.setenv("DENGE_CONFIG", str(file))

    with pytest.raises(ConfigurationError, match=words):
        settings.load()


def test_a_file_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DENGE_CONFIG", "/no/such/file")

    with pytest.raises(ConfigurationError, match=r"DENGE_CONFIG: the file /no/such/file cannot be read: No such file"):
        settings.load()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "denge", "127.0.0.1,0.0.0.0", "::1, ::"])
def test_an_address_for_others_needs_an_admin_token(host: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="requires an admin token: set DENGE_ADMIN_TOKEN_FILE"):
        settings.load(["--host", host])
    settings.load(["--host", host, "--admin-token-file", str(tmp_path / "token")])
    settings.load(["--host", host, "--allow-anonymous-admin"])


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost", "127.0.0.1,::1"])
def test_a_loopback_address_does_not(host: str) -> None:
    assert settings.load(["--host", host]).read_admin_token() is None


def test_a_name_that_resolves_to_an_address_for_others_needs_an_admin_token(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [entry])

    with pytest.raises(ConfigurationError, match="requires an admin token"):
        settings.load(["--host", "localhost"])


@pytest.mark.parametrize("host", ["", " ", "127.0.0.1,", ",::1"])
def test_an_empty_host_is_refused(host: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^host: .*expected IP addresses or names"):
        settings.load(["--host", host, "--allow-anonymous-admin"])


def test_a_unix_socket_needs_no_admin_token(tmp_path: Path) -> None:
    chosen = settings.load(["--uds", str(tmp_path / "socket"), "--host", "0.0.0.0"])

    assert (chosen.read_admin_token(), chosen.uds_permissions) == (None, 0o660)
    with pytest.raises(ConfigurationError, match="requires an admin token"):  # gRPC listens on the address
        settings.load(["--uds", str(tmp_path / "socket"), "--host", "0.0.0.0", "--grpc-port", "0"])
    assert settings.load(["--uds-mode", "600"]).uds_permissions == 0o600
    with pytest.raises(ConfigurationError, match=r"^uds_mode: "):
        settings.load(["--uds-mode", "rw"])


@pytest.mark.parametrize("name", ["ssl-keyfile", "ssl-keyfile-password", "ssl-keyfile-password-file", "ssl-ca-certs"])
def test_tls_needs_a_certificate(name: str) -> None:
    setting = name.replace("-", "_")

    with pytest.raises(ConfigurationError, match=f"{setting} requires a certificate: set DENGE_SSL_CERTFILE") as caught:
        settings.load([f"--{name}", "words"])
    assert "words" not in str(caught.value).replace("password", "")
    assert settings.load([f"--{name}", "words", "--ssl-certfile", "certificate.pem"])


def test_the_password_of_the_key_comes_from_a_file_too(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("two words\n")
    certificate = ["--ssl-certfile", "certificate.pem"]

    assert settings.load(certificate).read_key_password() is None
    assert settings.load([*certificate, "--ssl-keyfile-password", "words"]).read_key_password() == "words"
    from_file = settings.load([*certificate, "--ssl-keyfile-password-file", str(tmp_path / "password")])
    assert from_file.read_key_password() == from_file.for_worker().read_key_password() == "two words"
    missing = settings.load([*certificate, "--ssl-keyfile-password-file", str(tmp_path / "none")])
    with pytest.raises(ConfigurationError, match=r"^ssl_keyfile_password_file: "):
        missing.read_key_password()


@pytest.mark.parametrize(
    ("setting", "values"),
    [
        ("trusted_proxies", ["*", "localhost", "10.0.0.1/8", "10.0.0.1,"]),
        ("cors_origins", ["*", "app.example", "https://app.example/", "https://*.example", "null"]),
        ("root_path", ["denge", "/denge/", "/", "/a b", "/../denge"]),
    ],
)
def test_what_a_proxy_or_a_page_cannot_be_is_refused(setting: str, values: list[str]) -> None:
    for value in values:
        with pytest.raises(ConfigurationError, match=f"^{setting}: "):
            settings.load([f"--{setting.replace('_', '-')}", value])


def test_proxies_origins_and_a_root_path() -> None:
    chosen = settings.load(
        ["--trusted-proxies", "unix, 10.0.0.0/8", "--cors-origins", "https://a.example, http://[::1]:3000"]
    )

    assert chosen.trusted_proxies == "unix, 10.0.0.0/8"
    assert chosen.allowed_origins == ["https://a.example", "http://[::1]:3000"]
    assert settings.load([]).allowed_origins == []
    assert settings.load(["--root-path", "/ml/denge"]).root_path == "/ml/denge"


@pytest.mark.parametrize("name", ["repository", "state-dir"])
def test_a_folder_that_is_a_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigurationError, match=f"^{name.replace('-', '_')}: .*expected a folder"):
        settings.load([f"--{name}", str(tmp_path / "file")])


@pytest.mark.parametrize("value", ["", "short", "a token with spaces in it", "ein-Schlüssel-mit-Umlaut"])
@pytest.mark.parametrize("name", ["admin-token", "api-keys"])
def test_a_token_that_could_be_guessed_is_refused_and_not_repeated(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match="at least 16 printable ASCII characters") as caught:
        settings.load([f"--{name}", value])

    assert name.replace("-", "_") in str(caught.value)
    assert not value or value not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"two words-of-sixteen-characters", b"short", b"\xff" * 20])
def test_a_file_without_a_token_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    chosen = Settings(admin_token_file=file, api_keys_file=file)

    with pytest.raises(ConfigurationError, match=r"^admin_token_file: "):
        chosen.read_admin_token()
    with pytest.raises(ConfigurationError, match=r"^api_keys_file: "):
        chosen.read_api_keys()


def test_keys_are_never_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"^api_keys_file: "):
        Settings(api_keys_file=tmp_path / "none").read_api_keys()
    with pytest.raises(ConfigurationError, match=r"^admin_token_file: "):
        Settings(admin_token_file=tmp_path / "no" / "folder").read_admin_token()


def test_only_a_gpu_computes_with_less_than_float32_and_it_runs_two_batches_at_a_time() -> None:
    with pytest.raises(ConfigurationError, match="precision: float16 needs a GPU, and provider is cpu: set it to cuda"):
        settings.load(["--precision", "float16"])

    on_gpu = settings.load(["--provider", "cuda", "--precision", "float16"])

    assert on_gpu.concurrency == 2
    assert settings.load(["--provider", "cuda", "--concurrency", "5"]).concurrency == 5


def test_a_webhook_needs_a_secret() -> None:
    with pytest.raises(ConfigurationError, match="webhook_url requires a secret"):
        settings.load(["--webhook-url", WEBHOOK_URL])


@pytest.mark.parametrize(
    ("url", "secret", "setting"),
    [
        ("ftp://alarms.example", "x" * 16, "webhook_url"),
        ("alarms.example", "x" * 16, "webhook_url"),
        (WEBHOOK_URL, "short", "webhook_secret"),
        (WEBHOOK_URL, "whsec_c2hvcnQ=", "webhook_secret"),
        (WEBHOOK_URL, "whsec_%%%", "webhook_secret"),
    ],
)
def test_wrong_settings_of_the_webhook_are_refused_without_repeating_the_secret(
    url: str, secret: str, setting: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"^{setting}: ") as raised:
        settings.load(["--webhook-url", url, "--webhook-secret", secret])
    assert secret not in str(raised.value)


def test_the_webhook_secret_is_text_or_base64_and_comes_from_a_file_too(tmp_path: Path) -> None:
    encoded = "whsec_" + base64.b64encode(WEBHOOK_KEY).decode()
    (tmp_path / "secret").write_text(f"{encoded}\n")

    assert settings.load([]).read_webhook_key() == b""
    for given in (
        ["--webhook-secret", encoded],
        ["--webhook-secret", WEBHOOK_KEY.decode()],
        ["--webhook-secret-file", str(tmp_path / "secret")],
    ):
        assert settings.load(["--webhook-url", WEBHOOK_URL, *given]).read_webhook_key() == WEBHOOK_KEY
    with pytest.raises(ConfigurationError, match="webhook_secret_file"):
        settings.load(
            ["--webhook-url", WEBHOOK_URL, "--webhook-secret-file", str(tmp_path / "none")]
        ).read_webhook_key()


def test_every_worker_gets_the_webhook_secret_since_any_of_them_may_judge() -> None:
    chosen = Settings(webhook_url=WEBHOOK_URL, webhook_secret=WEBHOOK_KEY.decode())

    assert WEBHOOK_KEY in chosen.to_json()
    assert chosen.for_worker().read_webhook_key() == WEBHOOK_KEY


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_documented(name: str) -> None:
    text = DOCUMENTATION.read_text()

    assert f"`--{name.replace('_', '-')}`" in text
    assert f"`DENGE_{name.upper()}`" in text
    description = Settings.model_fields[name].description
    assert description is not None
    assert description in text


def test_a_repository_in_a_bucket_has_its_state_and_its_cache_elsewhere(tmp_path: Path) -> None:
    settings = Settings.from_flags({"repository": "s3://bucket/models/"})

    assert settings.repository == "s3://bucket/models"
    assert settings.state_folder == Path(".state")
    assert settings.cache_folder == Path(".state/cache")
    assert Settings.from_flags({"repository": str(tmp_path)}).state_folder == tmp_path / ".state"


@pytest.mark.parametrize("url", ["s3://", "s3://key:top-secret@bucket", "https://bucket/top-secret"])
def test_a_url_that_is_no_bucket_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigurationError, match="repository: expected a folder, or a URL such as s3://") as refused:
        Settings.from_flags({"repository": url})
    assert "top-secret" not in str(refused.value)

"""Addresses, unix sockets and TLS, with one process and with several."""

import json
import re
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from models.repository.repository import Repository
from tests.bundles import tiny_bundle
from tests.end_to_end.conftest import TIMEOUT_SECONDS, Process, environment, running, with_workers
from tests.service.certificates import Files, make_certificate

BODY = {"inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]}
PREDICTION, FORWARDED = "/v2/models/tiny/infer", "/v2/models/tiny/stats"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("listening") / "repository"
    Repository(root).publish(tiny_bundle())
    return root


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_certificate(tmp_path_factory.mktemp("certificates"), "service")


def assert_serves(client: httpx2.Client) -> None:
    for _ in range(4):  # on connections of their own: every worker is asked
        assert client.post(PREDICTION, json=BODY, headers={"Connection": "close"}).status_code == 200
        assert client.get(FORWARDED, headers={"Connection": "close"}).status_code == 200


def arguments(files: Files) -> list[str]:
    return ["--ssl-certfile", str(files.certificate), "--ssl-keyfile", str(files.key)]


@with_workers
def test_the_port_speaks_tls_and_reloads_the_certificate(tmp_path: Path, repository: Path, workers: str) -> None:
    first, renewed = make_certificate(tmp_path, "first"), make_certificate(tmp_path, "renewed")
    with running(repository, "--workers", workers, *arguments(first)) as process:
        assert process.url.startswith("https://127.0.0.1:")
        trusting = ssl.create_default_context(cafile=first.certificate)
        with httpx2.Client(base_url=process.url, verify=trusting, timeout=TIMEOUT_SECONDS) as client:
            assert_serves(client)
            assert "denge_certificate_expiry_timestamp_seconds" in client.get("/metrics").text
        with pytest.raises(httpx2.TransportError):
            httpx2.get(f"http://127.0.0.1:{process.port}/v2/health/live", timeout=TIMEOUT_SECONDS)

        first.key.write_bytes(renewed.key.read_bytes())
        first.certificate.write_bytes(renewed.certificate.read_bytes())
        process.popen.send_signal(signal.SIGHUP)
        wait_for_certificate(process, renewed)
        assert process.stop() == 0


def wait_for_certificate(process: Process, files: Files) -> None:
    """Return when this certificate has been presented a few times in a row, by every process."""
    expected = files.certificate.read_text()
    in_a_row = tries = 0
    while in_a_row < 8:
        tries += 1
        assert tries < 1000, "the old certificate is still presented"
        found = ssl.get_server_certificate(("127.0.0.1", process.port), timeout=TIMEOUT_SECONDS)
        in_a_row = in_a_row + 1 if found.split() == expected.split() else 0


@pytest.mark.slow
def test_clients_need_a_certificate_where_authorities_are_set(tmp_path: Path, repository: Path, files: Files) -> None:
    root = make_certificate(tmp_path, "root")
    own = make_certificate(tmp_path, "client", issuer=root)
    authorities = ["--ssl-ca-certs", str(root.certificate)]
    with running(repository, "--workers", "2", *arguments(files), *authorities) as process:
        context = ssl.create_default_context(cafile=files.certificate)
        with pytest.raises(httpx2.TransportError):
            httpx2.get(f"{process.url}/v2/health/live", verify=context, timeout=TIMEOUT_SECONDS)
        context.load_cert_chain(*own)
        with httpx2.Client(base_url=process.url, verify=context, timeout=TIMEOUT_SECONDS) as client:
            assert_serves(client)


@with_workers
def test_a_unix_socket_in_place_of_a_port(tmp_path: Path, repository: Path, workers: str) -> None:
    path = tmp_path / "denge.sock"
    with socket.socket(socket.AF_UNIX) as stale:  # of a service that was killed
        stale.bind(str(path))
    with running(repository, "--workers", workers, "--uds", str(path), "--uds-mode", "600") as process:
        assert process.url == f"unix:{path}"
        assert path.stat().st_mode & 0o777 == 0o600
        transport = httpx2.HTTPTransport(uds=str(path))
        with httpx2.Client(base_url="http://localhost", transport=transport, timeout=TIMEOUT_SECONDS) as client:
            assert_serves(client)
            assert client.post("/v2/repository/models/tiny/load").status_code == 200
        assert process.stop() == 0
    assert not path.exists()


@pytest.mark.parametrize(("workers", "host"), [("1", "::"), pytest.param("2", "127.0.0.1,::1", marks=pytest.mark.slow)])
def test_ipv4_and_ipv6_on_one_port(repository: Path, workers: str, host: str) -> None:
    with running(repository, "--workers", workers, "--host", host, "--allow-anonymous-admin") as process:
        for address in ("127.0.0.1", "[::1]"):
            base = f"http://{address}:{process.port}"
            with httpx2.Client(base_url=base, timeout=TIMEOUT_SECONDS) as client:
                assert_serves(client)


@with_workers
def test_behind_a_proxy_with_a_root_path(tmp_path: Path, repository: Path, workers: str) -> None:
    log = tmp_path / "log"
    given = ["--workers", workers, "--root-path", "/denge", "--trusted-proxies", "127.0.0.1", "--log-level", "info"]
    with log.open("w") as stderr, running(repository, *given, stderr=stderr) as process:
        with httpx2.Client(base_url=process.url, timeout=TIMEOUT_SECONDS) as client:
            proxied = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https", "Denge-Client": "http 192.0.2.9"}
            for prefix in ("", "/denge"):  # a proxy may remove it, or not
                assert client.post(f"{prefix}{PREDICTION}", json=BODY, headers=proxied).status_code == 200
                assert client.post(f"{prefix}{PREDICTION}?x=1", json=BODY, headers=proxied).status_code == 200
                assert client.get(f"{prefix}{FORWARDED}", headers=proxied).status_code == 200
                assert "/denge/static-offline-docs/" in client.get(f"{prefix}/docs", headers=proxied).text
                page = client.get(f"{prefix}/", headers={**proxied, "Accept": "text/html"}).text
                assert re.search('src="dashboard/[0-9a-f]{16}/page.js"', page)
                description = client.get(f"{prefix}/openapi.json", headers=proxied).json()
                assert description["servers"] == [{"url": "/denge"}]
            assert client.get("/denge/static-offline-docs/swagger-ui.css").status_code == 200
            assert client.post("/denge/v2/repository/models/tiny/load", headers=proxied).status_code == 403
        assert process.stop() == 0
    clients = [line["client"] for line in map(json.loads, log.read_text().splitlines()) if line["event"] == "request"]
    assert sorted(clients) == ["127.0.0.1"] + ["192.0.2.1"] * 13


def test_what_does_not_start_says_why_in_one_line(tmp_path: Path, repository: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket(socket.AF_UNIX) as live:
        port, path = str(taken.getsockname()[1]), tmp_path / "live.sock"
        live.bind(str(path))
        live.listen()
        cases = [
            (["--port", port], 3, f"127.0.0.1:{port}: address already in use"),
            (["--port", port, "--workers", "2"], 3, f"127.0.0.1:{port}: address already in use"),
            (["--host", "192.0.2.1", "--allow-anonymous-admin"], 3, "192.0.2.1:8000: cannot assign requested address"),
            (["--ssl-certfile", str(tmp_path / "none")], 3, f"{tmp_path / 'none'}: no such file or directory"),
            (["--uds", str(tmp_path)], 3, f"{tmp_path}: a file that is no socket exists there"),
            (["--uds", str(path), "--workers", "2"], 3, f"{path}: another process listens on this socket"),
            (["--repository", str(Path(__file__))], 2, "repository: "),
            (["--ssl-keyfile", "key"], 2, "ssl_keyfile requires a certificate"),
            (["--prot", "1"], 2, "Did you mean --port?"),
        ]
        found = start(repository, [given for given, _, _ in cases])
        for (code, message), (_, expected, words) in zip(found, cases, strict=True):
            assert code == expected, message
            assert words in message
            assert message.count("\n") == 1


def start(repository: Path, cases: list[list[str]]) -> list[tuple[int, str]]:
    """Exit code and standard error of services that do not start, one after the other in one process."""
    program = f"""
import json, os
from service.__main__ import main

for case in json.loads({json.dumps(json.dumps(cases))}):
    begin = os.fstat(2).st_size
    code = main([*case, *([] if "--repository" in case else ["--repository", {str(repository)!r}])])
    print(json.dumps([code, begin, os.fstat(2).st_size]))
"""
    errors = repository.parent / "errors"
    with errors.open("w") as file:
        done = subprocess.run(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE,
            stderr=file,
            timeout=TIMEOUT_SECONDS,
            env=environment(),
        )
    said = errors.read_bytes()
    assert done.returncode == 0, said
    results = map(json.loads, done.stdout.splitlines())
    return [(code, said[begin:end].decode()) for code, begin, end in results]

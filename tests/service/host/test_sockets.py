"""Sockets to listen on."""

import socket
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.host import sockets
from service.host.sockets import Address, bind, describe, resolve, shared_port, unix_socket


@contextmanager
def listening(hosts: str, port: int = 0) -> Iterator[Sequence[socket.socket]]:
    bound = bind(resolve(hosts), port)
    try:
        for each in bound:
            each.listen()
        yield bound
    finally:
        for each in bound:
            each.close()


def reaches(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=10).close()
    except OSError:
        return False
    return True


def test_several_addresses_share_a_port() -> None:
    with listening("127.0.0.1, ::1") as bound:
        ports = {each.getsockname()[1] for each in bound}
        port = ports.pop()

        assert not ports
        assert reaches("127.0.0.1", port)
        assert reaches("::1", port)


def test_an_address_that_is_named_twice_is_bound_once() -> None:
    with listening("127.0.0.1,localhost,127.0.0.1") as bound:
        assert [each.getsockname()[0] for each in bound].count("127.0.0.1") == 1


@pytest.mark.parametrize("hosts", ["::", "0.0.0.0,::", "::,0.0.0.0"])
def test_every_address_of_both_families(hosts: str) -> None:
    with listening(hosts) as bound:
        port = bound[0].getsockname()[1]

        assert reaches("127.0.0.1", port)
        assert reaches("::1", port)


def test_one_family_alone() -> None:
    with listening("::1") as bound:
        assert not reaches("127.0.0.1", bound[0].getsockname()[1])


def test_a_port_that_is_taken_is_named() -> None:
    with listening("127.0.0.1") as bound:
        port = bound[0].getsockname()[1]

        with pytest.raises(OSError, match=f"^127.0.0.1:{port}: address already in use$"):
            bind(resolve("127.0.0.1"), port)


def test_an_address_of_another_machine_is_named() -> None:
    with pytest.raises(OSError, match=r"^192\.0\.2\.1:0: cannot assign requested address$"):
        bind(resolve("192.0.2.1"), 0)


def test_a_name_without_an_address_is_named() -> None:
    with pytest.raises(OSError, match=r"^host no-such-host\.invalid: "):
        resolve("no-such-host.invalid")


@pytest.mark.parametrize("hosts", ["", "127.0.0.1,", " "])
def test_an_empty_entry_is_refused(hosts: str) -> None:
    with pytest.raises(ValueError, match="expected an IP address or a name"):
        resolve(hosts)


@pytest.mark.parametrize(
    ("ip", "is_loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("0.0.0.0", False), ("::", False), ("fe80::1", False)],
)
def test_what_only_this_machine_reaches(ip: str, is_loopback: bool) -> None:
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET

    assert Address("name", family, ip).is_loopback is is_loopback


def test_addresses_as_urls_have_them() -> None:
    assert describe("127.0.0.1", 8000) == "127.0.0.1:8000"
    assert describe("::1", 8000) == "[::1]:8000"


def connects(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


def test_a_unix_socket_has_its_permissions_and_is_removed_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "denge.sock"
    with unix_socket(path, 0o620) as bound:
        bound.listen()

        assert stat.S_IMODE(path.stat().st_mode) == 0o620
        assert list(tmp_path.iterdir()) == [path]
        assert connects(path)
    assert list(tmp_path.iterdir()) == []


def test_the_socket_of_a_service_that_was_killed_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "denge.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))

    with unix_socket(path, 0o600) as bound:
        bound.listen()
        assert connects(path)


def test_the_socket_of_a_service_that_runs_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "denge.sock"
    with unix_socket(path, 0o600) as bound:
        bound.listen()

        with pytest.raises(OSError, match="another process listens on this socket"), unix_socket(path, 0o600):
            pytest.fail("it was replaced")
        assert connects(path)


def test_the_socket_that_has_replaced_this_one_stays(tmp_path: Path) -> None:
    path = tmp_path / "denge.sock"
    with unix_socket(path, 0o600), socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "other"))
        (tmp_path / "other").replace(path)

    assert path.is_socket()


def test_a_file_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "denge.sock"
    path.write_text("important")

    with pytest.raises(OSError, match="a file that is no socket exists there"), unix_socket(path, 0o600):
        pytest.fail("it was replaced")
    assert path.read_text() == "important"


@pytest.mark.parametrize("name", ["no/folder/denge.sock", "x" * 200])
def test_a_path_that_cannot_be_used_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(OSError, match=f"^{tmp_path / name}: "), sockets.unix_socket(tmp_path / name, 0o600):
        pytest.fail("there can be no such socket")
    assert list(tmp_path.iterdir()) == []


def test_a_port_is_shared_right_after_a_process_that_had_it_alone_has_closed_its_connections() -> None:
    """The kernel remembers these for a minute (TIME_WAIT), of the side that has closed first."""
    (address,) = resolve("127.0.0.1")
    (alone,) = bind([address], 0)
    with alone:
        alone.listen()
        port = alone.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = alone.accept()
            accepted.close()
            assert client.recv(1) == b""

    with shared_port(address, port) as shared:
        assert shared == port

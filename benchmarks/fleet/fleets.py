"""The replicas, the store and the balancer: as processes of this machine, or as containers of Compose."""

import inspect
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import httpx2

from benchmarks.fleet import versions

SECRET = "whsec_" + "c2VjcmV0" * 6
SMALL_BYTES = 256 << 20
"""A disk with less space than this may be filled."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class LocalFleet:
    """Processes that share a folder and a redis-server. Clients balance themselves, and nothing is cut off."""

    balancer = None

    def __init__(self, count: int, folder: Path, webhook: int) -> None:
        self._folder = folder
        self._store_port = free_port()
        self._ports = [free_port() for _ in range(count)]
        self._webhook = webhook
        self.urls = [f"http://127.0.0.1:{port}" for port in self._ports]
        self._replicas: dict[int, subprocess.Popen[str]] = {}
        self.start_store()
        for index in range(count):
            self.start_replica(index)

    def token(self) -> str:
        return (self._folder / "admin-token").read_text("ascii").strip()

    def start_replica(self, index: int) -> None:
        port = self._ports[index]
        arguments = {
            "--port": str(port),
            "--repository": str(self._folder / "repository"),
            "--state-dir": str(self._folder / f"state-{index}"),
            "--store": f"redis://127.0.0.1:{self._store_port}/0",
            "--replica-address": self.urls[index],
            "--admin-token-file": str(self._folder / "admin-token"),
            "--webhook-url": f"http://127.0.0.1:{self._webhook}/",
            "--webhook-secret": SECRET,
            "--watch-percent": "20",
        }
        command = [sys.executable, "-m", "service", *(part for pair in arguments.items() for part in pair)]
        log = (self._folder / f"replica-{index}.log").open("a")
        self._replicas[index] = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        output = self._replicas[index].stdout
        assert output is not None
        print(f"replica {index}: {output.readline().strip()}", flush=True)

    def kill_replica(self, index: int) -> None:
        self._replicas[index].kill()
        self._replicas[index].wait()

    def start_store(self) -> None:
        program = shutil.which("valkey-server") or shutil.which("redis-server") or "redis-server"
        options = ["--port", str(self._store_port), "--appendonly", "yes", "--dir", str(self._folder)]
        self._store = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)

    def kill_store(self) -> None:
        self._store.kill()
        self._store.wait()

    def ask_store(self, *command: str) -> str:
        return _run("redis-cli", "-p", str(self._store_port), *command)

    def index_of(self, member: str) -> int | None:
        """Which replica has an id: all of them are on one machine, so their addresses say it."""
        for index, url in enumerate(self.urls):
            try:
                replicas = httpx2.get(f"{url}/v2/replicas").json()["replicas"]
            except httpx2.TransportError:
                continue
            if any(replica["id"] == member and replica["is_this"] for replica in replicas):
                return index
        return None

    def publish_second(self) -> None:
        versions.publish(str(self._folder / "repository"))

    def cut_off(self, index: int) -> bool:  # noqa: ARG002 - processes of one machine are not cut off
        return False

    def reconnect(self, index: int) -> None:
        raise NotImplementedError

    def fill_disk(self) -> bool:
        """Leave no byte on the disk of the repository, the states and the store. Returns whether it is small enough."""
        if (free := shutil.disk_usage(self._folder).free) > SMALL_BYTES:
            return False
        with suppress(OSError), (self._folder / "filler").open("wb", buffering=0) as filler:
            for _ in range(free // _PAGE_BYTES + 1):
                filler.write(bytes(_PAGE_BYTES))
        return True

    def free_disk(self) -> None:
        (self._folder / "filler").unlink()

    def ask_each(self, path: str) -> list[bytes]:
        """The answers of all replicas."""
        return [httpx2.get(url + path).content for url in self.urls]

    def stop(self) -> None:
        for replica in self._replicas.values():
            replica.send_signal(signal.SIGTERM)
        for replica in self._replicas.values():
            replica.wait(60)
        self.kill_store()


class ComposeFleet:
    """Containers of `docker compose --profile fleet up`, which run already."""

    def __init__(self, compose: str, url: str) -> None:
        self._compose = shlex.split(compose)
        self.balancer: str | None = url
        self.urls = [url]
        self._containers = self._ids("replica")
        (self._store,) = self._ids("valkey")
        (self._balancer,) = self._ids("balancer")

    def token(self) -> str:
        return _run("docker", "exec", self._containers[0], "cat", "/secrets/admin-token").strip()

    def start_replica(self, index: int) -> None:
        _run("docker", "start", self._containers[index])

    def kill_replica(self, index: int) -> None:
        _run("docker", "kill", "--signal", "KILL", self._containers[index])

    def start_store(self) -> None:
        _run("docker", "start", self._store)

    def kill_store(self) -> None:
        _run("docker", "kill", "--signal", "KILL", self._store)

    def ask_store(self, *command: str) -> str:
        return _run("docker", "exec", self._store, "valkey-cli", *command)

    def index_of(self, member: str) -> int | None:
        """Which replica has an id: it begins with the host name, which is the beginning of the container's id."""
        return next(
            (i for i, found in enumerate(self._containers) if found.startswith(member.split("-", maxsplit=1)[0])), None
        )

    def publish_second(self) -> None:
        source = inspect.getsource(versions) + "\npublish('/repository')\n"
        command = ["docker", "exec", "-i", self._containers[0], "python", "-"]
        subprocess.run(command, input=source, text=True, check=True)

    def cut_off(self, index: int) -> bool:
        _run("docker", "network", "disconnect", self._network(), self._containers[index])
        return True

    def reconnect(self, index: int) -> None:
        _run("docker", "network", "connect", self._network(), self._containers[index])

    def fill_disk(self) -> bool:  # the volumes are on someone else's disk
        return False

    def free_disk(self) -> None:
        raise NotImplementedError

    def ask_each(self, path: str) -> list[bytes]:
        """The answers of all replicas."""
        ask = _GET.format(f"http://localhost:8000{path}")
        return [_run("docker", "exec", found, "python", "-c", ask).encode() for found in self._containers]

    def retried(self) -> int:
        """Requests that the balancer has sent again, by its own count."""
        ask = _GET.format("http://balancer:8404/metrics")
        found = _run("docker", "exec", self._containers[0], "python", "-c", ask)
        names = ("retry_warnings_total", "redispatch_warnings_total")
        return sum(
            int(float(line.rsplit(" ", 1)[1]))
            for line in found.splitlines()
            if any(line.startswith(f"haproxy_backend_{name}{{") for name in names)
        )

    def stop(self) -> None:
        """The containers are someone else's."""

    def _ids(self, service: str) -> list[str]:
        return _run(*self._compose, "ps", "-q", service).split()

    def _network(self) -> str:
        listed = _run("docker", "network", "ls", "--format", "{{.Name}}").split()
        return next(name for name in listed if re.fullmatch(r".*_store", name))


_PAGE_BYTES = 4 << 10
_GET = "import urllib.request; print(urllib.request.urlopen('{}').read().decode())"


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout

"""What the service listens on and prints: all that a process needs that answers no requests itself."""

import os
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import orjson

from models.manifest import Manifest
from service.host import sockets, streams
from service.http.first_requests import first_requests
from service.settings import Settings

STARTUP_FAILURE = 3
"""Exit code of a service that did not start, as uvicorn has it: supervisors know it."""


def report_failure(error: Exception) -> None:
    """Print why the service does not start, in one line. It names the file that could not be read or written."""
    cause = error.__cause__
    file = cause.filename if isinstance(cause, OSError) else None
    named = f": '{os.fsdecode(file)}'" if isinstance(file, str | bytes) else ""
    streams.standard_error().write(f"the service does not start: {error}{named}\n".encode(errors="backslashreplace"))


@contextmanager
def listening(settings: Settings) -> Iterator[list[socket.socket]]:
    """The sockets of the service, bound.

    Raises:
        OSError: an address or the unix socket cannot be used. The message names it.
    """
    with ExitStack() as stack:
        if settings.uds is not None:
            bound = [stack.enter_context(sockets.unix_socket(settings.uds, settings.uds_permissions))]
        else:
            bound = sockets.bind(sockets.resolve(settings.host), settings.port)
            for each in bound:
                stack.enter_context(each)
        yield bound


def announce(bound: Sequence[socket.socket], settings: Settings, served: Iterable[tuple[str, Manifest]] = ()) -> None:
    """Print the addresses of the service and requests to paste, for the person who started it.

    Args:
        bound: the sockets that it listens on.
        settings: of the service.
        served: names and manifests of the models, as far as this process knows them.
    """
    scheme = "http" if settings.ssl_certfile is None else "https"
    curl = "curl -s" if settings.uds is None else f"curl -s --unix-socket {settings.uds}"
    if settings.api_keys is not None or settings.api_keys_file is not None:
        curl += ' -H "Authorization: Bearer $API_KEY"'
    if settings.uds is not None:
        base, addresses = f"{scheme}://localhost", [f"unix:{settings.uds}"]
    else:
        addresses = [f"{scheme}://{sockets.describe(*each.getsockname()[:2])}" for each in bound]
        base = addresses[0]
    pages = {"page": f"{base}/", "API": f"{base}/docs"}
    if settings.guide_dir is not None:
        pages["guide"] = f"{base}/guide/"
    requests = dict(first_requests(served, base, curl))
    if settings.json_addresses:
        pages = {name.lower(): url for name, url in pages.items()}
        found = {"url": base, "addresses": addresses, **pages, "requests": requests}
        streams.standard_output().write(orjson.dumps(found) + b"\n")
        return
    lines = [
        f"Denge serves on {addresses[0]}",
        *(f"  {'and:':<14} {address}" for address in addresses[1:]),
        *(f"  {name + ':':<14} {shown}" for name, shown in (pages | requests).items()),
    ]
    streams.standard_output().write("\n".join((*lines, "")).encode())


def announce_others(addresses: Mapping[str, str], settings: Settings) -> None:
    """Print where the service serves besides HTTP, by protocol."""
    if settings.json_addresses and addresses:
        streams.standard_output().write(orjson.dumps({"other_addresses": dict(addresses)}) + b"\n")
        return
    for protocol, address in addresses.items():
        streams.standard_output().write(f"  {protocol + ':':<14} {address}\n".encode())

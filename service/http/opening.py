"""What the service listens on and prints: all that a process needs that answers no requests itself."""

import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from service.host import sockets, streams
from service.settings import Settings

STARTUP_FAILURE = 3
"""Exit code of a service that did not start, as uvicorn has it: supervisors know it."""


def report_failure(error: Exception) -> None:
    """Print why the service does not start, in one line."""
    streams.standard_error().write(f"the service does not start: {error}\n".encode())


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


def announce(bound: Sequence[socket.socket], settings: Settings) -> None:
    """Print the addresses of the service, for the person who started it."""
    scheme = "http" if settings.ssl_certfile is None else "https"
    curl = "curl -s" if settings.uds is None else f"curl -s --unix-socket {settings.uds}"
    if settings.uds is not None:
        base, addresses = f"{scheme}://localhost", [f"unix:{settings.uds}"]
    else:
        addresses = [f"{scheme}://{sockets.describe(*each.getsockname()[:2])}" for each in bound]
        base = addresses[0]
    lines = [
        f"Denge serves on {addresses[0]}",
        *(f"  and:           {address}" for address in addresses[1:]),
        f"  page:          {base}/",
        f"  API:           {base}/docs",
        *([] if settings.guide_dir is None else [f"  guide:         {base}/guide/"]),
        f"  try:           {curl} {base}/docs/seven.png | {curl} --data-binary @- {base}/v2/models/convnet/predict",
        f"  layers:        {curl} {base}/v2/models/mlp/layers/hidden.0.norm",
    ]
    streams.standard_output().write("\n".join((*lines, "")).encode())


def announce_others(addresses: Mapping[str, str]) -> None:
    """Print where the service serves besides HTTP, by protocol."""
    for protocol, address in addresses.items():
        streams.standard_output().write(f"  {protocol + ':':<14} {address}\n".encode())

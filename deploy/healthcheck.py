"""Exit code 0 where the service in this container is ready: by its unix socket or port, with or without TLS."""

import os
import socket
import ssl
import sys

TIMEOUT_SECONDS = 2
REQUEST = b"GET /v2/health/ready HTTP/1.0\r\nHost: localhost\r\n\r\n"


def connect() -> socket.socket:
    """A connection to the service, as its environment configures it."""
    if path := os.environ.get("DENGE_UDS"):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(TIMEOUT_SECONDS)
        connection.connect(path)
    else:
        connection = socket.create_connection(("localhost", int(os.environ.get("DENGE_PORT", "8000"))), TIMEOUT_SECONDS)
    if not os.environ.get("DENGE_SSL_CERTFILE"):
        return connection
    # The certificate has the name that clients use; nothing secret is sent here.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(connection)


def is_ready() -> bool:
    """Whether the service says that it is ready. One that requires certificates of clients cannot be asked."""
    with connect() as connection:
        if os.environ.get("DENGE_SSL_CA_CERTS"):
            return True
        connection.sendall(REQUEST)
        return connection.recv(64).startswith((b"HTTP/1.1 200", b"HTTP/1.0 200"))


try:
    sys.exit(0 if is_ready() else 1)
except OSError as error:
    sys.exit(str(error))

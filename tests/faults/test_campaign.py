"""No attack keeps others from being answered, or keeps the memory."""

import http.server
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.faults.attacks.attack import BOUNDED, Attack
from tests.faults.campaign import ATTACKS, attack, target
from tests.faults.target import Target

MAX_BODY_MIB = 16
BODIES_HELD = 4
"""Memory that an attack may take for a while, as a multiple of the largest body."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with target(tmp_path_factory.mktemp("faults"), MAX_BODY_MIB, "--codec-mib", str(MAX_BODY_MIB * 2)) as running:
        yield running


@pytest.mark.parametrize("attacked", ATTACKS, ids=lambda attacked: attacked.name)
def test_an_attack_does_no_harm(service: Target, attacked: Attack) -> None:
    outcome = attack(service, attacked, BOUNDED)

    assert not outcome.wrong, outcome.wrong[:5]
    assert outcome.memory.peak - outcome.before <= BODIES_HELD * service.max_body


def test_the_memory_is_given_back(service: Target) -> None:
    """After all of the above: every fixture of this module's service has been attacked."""
    first = attack(service, ATTACKS[0], BOUNDED)

    assert first.memory.now <= first.before + service.max_body


class _Broken(http.server.BaseHTTPRequestHandler):
    """Answers well at first, and wrong from the third prediction on."""

    protocol_version = "HTTP/1.1"
    predictions = 0

    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        _Broken.predictions += 1
        self._answer({"outputs": [{"data": [float(_Broken.predictions > 2)]}]})

    def _answer(self, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def broken_service() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Broken) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_a_service_that_answers_wrong_is_found_out() -> None:

    with broken_service() as port:
        outcome = attack(
            Target(port, os.getpid(), 1), Attack("nothing", lambda *_: ["200"], frozenset({"200"})), BOUNDED
        )

    assert outcome.wrong

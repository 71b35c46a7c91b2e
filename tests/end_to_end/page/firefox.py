"""A headless Firefox of the system, driven by the protocol that it speaks itself: WebDriver BiDi of the W3C.

Playwright drives only a Firefox of its own, which would have to be downloaded.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from tests.end_to_end.conftest import TIMEOUT_SECONDS

NAMES = ("firefox-esr", "firefox")
_ADDRESS = re.compile(r"WebDriver BiDi listening on (ws://\S+)")
_QUIET = {
    "app.normandy.enabled": False,
    "browser.region.network.url": "",
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,#remote-settings-dummy/v1",
    "toolkit.telemetry.server": "",
    "ui.prefersReducedMotion": 1,
}
"""Preferences with which it asks no other host for anything by itself."""

_WAIT = """new Promise((resolve, reject) => {
    const look = () => {
        if (document.querySelector(SELECTOR) === null) return;
        observer.disconnect();
        resolve(true);
    };
    const observer = new MutationObserver(look);
    observer.observe(document, { childList: true, subtree: true, attributes: true });
    setTimeout(() => reject(new Error("there is no " + SELECTOR)), MILLISECONDS);
    look();
})"""


class Firefox:
    """One tab.

    Args:
        connection: to its socket of WebDriver BiDi.
    """

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._sent = 0
        self.problems: list[str] = []
        """Errors that the console has shown."""
        self._send("session.new", capabilities={})
        self._send("session.subscribe", events=["log.entryAdded"])
        self._tab = self._send("browsingContext.getTree")["contexts"][0]["context"]

    def resize(self, width: int, height: int) -> None:
        """Change the size of the page, in pixels."""
        self._send("browsingContext.setViewport", context=self._tab, viewport={"width": width, "height": height})

    def goto(self, url: str) -> None:
        """Open an address, and wait until it is loaded."""
        self._send("browsingContext.navigate", context=self._tab, url=url, wait="complete")

    def evaluate(self, expression: str) -> Any:
        """The value of an expression, which is awaited if it is a promise: a text, a number or a truth value."""
        answer = self._send("script.evaluate", expression=expression, target={"context": self._tab}, awaitPromise=True)
        if answer["type"] == "exception":
            raise AssertionError(answer["exceptionDetails"]["text"])
        return answer["result"].get("value")

    def wait_for(self, selector: str) -> None:
        """Wait until there is such an element."""
        wait = _WAIT.replace("SELECTOR", json.dumps(selector)).replace("MILLISECONDS", str(1000 * TIMEOUT_SECONDS))
        self.evaluate(wait)

    def _send(self, method: str, **parameters: Any) -> Any:
        self._sent += 1
        self._connection.send(json.dumps({"id": self._sent, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._connection.recv(2 * TIMEOUT_SECONDS))
            if message["type"] == "event" and message["params"].get("level") == "error":
                self.problems.append(message["params"]["text"])
            if message.get("id") == self._sent:
                assert message["type"] == "success", message
                return message["result"]


@contextmanager
def launched(profile: Path) -> Iterator[Firefox]:
    """The browser. Skips the test where none is installed.

    Args:
        profile: an empty folder.
    """
    executable = next((found for name in NAMES if (found := shutil.which(name))), None)
    if executable is None:
        pytest.skip("no Firefox is installed")
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in _QUIET.items()]
    (profile / "user.js").write_text("\n".join(lines), "utf-8")
    command = [executable, "--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port=0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stderr is not None
        try:
            found = next(filter(None, map(_ADDRESS.search, process.stderr)), None)
            assert found is not None, "Firefox ended before it could be driven"
            with connect(f"{found[1]}/session", max_size=None, open_timeout=TIMEOUT_SECONDS) as connection:
                yield Firefox(connection)
        finally:
            process.terminate()
            process.stderr.close()
            try:
                process.wait(TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()

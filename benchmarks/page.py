"""What opening the page costs: bytes, requests, and time until a tab shows what the service answered.

    python -m benchmarks.page docs/dashboard.md

The service is started here with its starter models. Each tab is opened several times by a browser that keeps nothing,
and then again by the same one. The least of each figure counts: other processes of the machine only add to it. Chromium
has to be installed.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from playwright.sync_api import Browser, CDPSession

from benchmarks.pages import write_between
from tests.end_to_end.conftest import Process, running
from tests.end_to_end.page.browser import launched

REPEATS = 3
TABS = {
    "overview": ("#/", "#models tbody tr"),
    "Now": ("#/models/convnet", "#verdict .headline"),
    "Layers": ("#/models/convnet/layers", "#graph [role=tab]"),
    "History": ("#/models/convnet/history", "#history-lead .lead"),
    "Versions": ("#/models/convnet/versions", "#versions tbody tr"),
    "Try it": ("#/models/convnet/try", "#trial .drop"),
}
"""Address of each, and an element that is drawn from the service's answers."""

_WATCH = """
    const look = () => {
        if (window.shownAt !== undefined || document.querySelector(SELECTOR) === null) return;
        window.shownAt = performance.now();
        observer.disconnect();
    };
    const observer = new MutationObserver(look);
    observer.observe(document, { childList: true, subtree: true });
"""
_READ = """() => {
    const files = [
        ...performance.getEntriesByType("navigation"),
        ...performance.getEntriesByType("resource").filter(({ name }) => name.includes("/dashboard/")),
    ];
    const sum = (size) => files.reduce((sum, file) => sum + file[size], 0);
    const sent = files.filter(({ transferSize }) => transferSize > 0).length;
    return [window.shownAt, sum("transferSize"), sum("decodedBodySize"), sent];
}"""


class Opening(NamedTuple):
    """One opening of a tab.

    Attributes:
        milliseconds: from the request until the tab shows what the service answered, and can be used.
        thread_milliseconds: processor time of the page's thread until then.
        sent: bytes of the page's files over the network, with headers.
        size: bytes of these files, decompressed.
        requests: for these files.
    """

    milliseconds: float
    thread_milliseconds: float
    sent: int
    size: int
    requests: int


def open_tab(browser: Browser, process: Process, tab: str, slowdown: int = 1) -> tuple[Opening, Opening]:
    """Open a tab with an empty cache, and once more with what the first one left in it.

    Args:
        browser: that opens it.
        process: the service.
        tab: one of `TABS`.
        slowdown: how many times longer the browser takes for everything that the page's thread does.
    """
    address, selector = TABS[tab]
    found = []
    with browser.new_context() as context:
        page = context.new_page()
        page.add_init_script(f"{{{_WATCH.replace('SELECTOR', repr(selector))}}}")
        session = context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        session.send("Emulation.setCPUThrottlingRate", {"rate": slowdown})
        for _ in range(2):
            page.goto("about:blank")
            before = _thread_seconds(session)
            page.goto(f"{process.url}/{address}")
            page.locator(selector).first.wait_for()
            thread = 1000 * (_thread_seconds(session) - before)
            shown, sent, size, requests = page.evaluate(_READ)
            found.append(Opening(shown, thread, sent, size, requests))
    return found[0], found[1]


def _thread_seconds(session: CDPSession) -> float:
    metrics = {metric["name"]: metric["value"] for metric in session.send("Performance.getMetrics")["metrics"]}
    return float(metrics["TaskDuration"])


def measure() -> dict[str, tuple[Opening, Opening, Opening]]:
    """The least of every figure, by tab: first opening, second opening, and first opening at half the speed."""
    with (
        TemporaryDirectory() as folder,
        running(Path(folder) / "repository", "--log-level", "error") as process,
        launched() as browser,
    ):
        found = {
            tab: [
                (open_tab(browser, process, tab), open_tab(browser, process, tab, slowdown=2)[0])
                for _ in range(REPEATS)
            ]
            for tab in TABS
        }
    return {
        tab: (
            _least([first for (first, _), _ in all_]),
            _least([again for (_, again), _ in all_]),
            _least([slow for _, slow in all_]),
        )
        for tab, all_ in found.items()
    }


def _least(openings: Sequence[Opening]) -> Opening:
    return Opening(*(min(values) for values in zip(*openings, strict=True)))


def table(found: dict[str, tuple[Opening, Opening, Opening]]) -> str:
    """As Markdown."""
    columns = "sent, kB", "files, kB", "requests", "first, ms", "processor time, ms", "at half speed, ms", "again, ms"
    lines = [f"| tab | {' | '.join(columns)} | sent again, kB |", "|---" * (len(columns) + 2) + "|"]
    for tab, (first, again, slow) in found.items():
        times = first.milliseconds, first.thread_milliseconds, slow.milliseconds, again.milliseconds
        written = " | ".join(f"{milliseconds:.0f}" for milliseconds in times)
        sizes = f"{first.sent / 1e3:.0f} | {first.size / 1e3:.0f} | {first.requests}"
        lines.append(f"| {tab} | {sizes} | {written} | {again.sent / 1e3:.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    written = table(measure())
    print(written)
    if len(sys.argv) > 1:
        write_between(Path(sys.argv[1]), "weight", written)

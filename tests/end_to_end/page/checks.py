"""What several tests of the page do or look at."""

import httpx2
import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Page

from tests.end_to_end.conftest import ROOT, TIMEOUT_SECONDS, Process

NARROW = {"width": 360, "height": 740}
SEVEN = ROOT / "service" / "static" / "seven.png"
HOSTILE = '<img src="x" onerror="document.title=1">'
TOKEN = "an-admin-token-of-the-tests"


def send(process: Process, rows: NDArray[np.float32]) -> None:
    """Have rows predicted."""
    tensor = {"name": "input", "datatype": "FP32", "shape": rows.shape, "data": rows.ravel().tolist()}
    answer = httpx2.post(f"{process.url}/v2/models/convnet/infer", json={"inputs": [tensor]}, timeout=TIMEOUT_SECONDS)
    answer.raise_for_status()


def scroll_width(page: Page) -> int:
    """Pixels that the page is wide; more than its window has where something does not fit."""
    return int(page.evaluate("document.documentElement.scrollWidth"))


def faint_texts(page: Page) -> list[tuple[str, float]]:
    """Texts whose contrast with their background is below 4.5, as WCAG 2 measures it."""
    return list(page.evaluate(_CONTRAST))


_CONTRAST = """() => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const rgb = (colour) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const luminance = (colour) => {
        const linear = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
        const [r, g, b] = colour.map((part) => linear(part / 255));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = (one) => {
        for (let at = one; at; at = at.parentElement) {
            const colour = rgb(getComputedStyle(at).backgroundColor);
            if (colour[3] === 255) return colour;
        }
        return [255, 255, 255, 255];
    };
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const one = walker.currentNode.parentElement;
        if (!walker.currentNode.data.trim() || !one.checkVisibility({ visibilityProperty: true })) continue;
        const style = getComputedStyle(one);
        const colour = one.closest("svg") ? style.fill : style.color;
        const pair = [luminance(rgb(colour)), luminance(ground(one))].sort((a, b) => b - a);
        const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
        if (ratio < 4.5) found.push([walker.currentNode.data.trim(), ratio]);
    }
    return found;
}"""

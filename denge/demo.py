"""`denge demo`: from a shift to its repair in a minute.

A starter model, a camera that gets noisy, an alarm, a version re-calibrated from unlabelled images, and its promotion.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Annotated, Any

import orjson
from cyclopts import Parameter

from denge.traffic import Answers, Camera, Client, Starter, send_images
from models.errors import NotReady
from models.progress import ProgressLine

MODEL: Starter = "convnet"
NOISE = 0.3
COLLECTED = 256
_PATH = f"/v2/models/{MODEL}"
_CLEAN, _NOISY, _REPAIRED = 600, 300, 400
_MOST_WAITS = 30
_MOST = 6000
"""Images until the alarm, or until the new version: more than any machine that serves the starters has needed."""


def demonstrate(
    *,
    keep: Annotated[
        bool, Parameter(help="Serve on at the end, until Ctrl-C, so that the page can be looked at.")
    ] = True,
    seed: Annotated[int | None, Parameter(help="Of the order of the images and the noise.")] = None,
    json: Annotated[bool, Parameter(help="Print each step as one line of JSON.")] = False,
) -> None:
    """Serve a starter model, shift its input, and repair it, with a line for each step. Changes no repository."""
    say = _say_as_json if json else _say
    with serving() as (process, url), closing(Client(url)) as client:
        camera = Camera(client, MODEL, seed)
        say(f"A service with the model '{MODEL}', which knows clean images of digits", f"Page: {url}")
        say("1. Clean images", send_images(camera, _CLEAN, 0), _verdict(client))
        say(
            f"2. The camera gets noisy (standard deviation {NOISE} of the pixels' range)",
            send_images(camera, _NOISY, NOISE),
        )
        _until(lambda: _drift(client)["alarm"], camera, "an alarm")
        say("3. Denge has no labels, but the layers remember what they saw in training", _verdict(client))
        job = client.ask("POST", f"{_PATH}/recalibrations", {"collect": COLLECTED})
        where = f"{_PATH}/recalibrations/{job['id']}"
        _until(lambda: client.ask("GET", where)["state"] not in {"collecting", "waiting"}, camera, "a new version")
        ended = _wait(client, where)
        if ended["state"] != "published":
            raise NotReady(f"re-calibration: {ended['state']}: {ended.get('reason')}")
        say(f"4. Version {ended['published']} is estimated from {COLLECTED} of the noisy images", _accuracy(ended))
        client.ask("POST", f"{_PATH}/rollout/promote", {"version": ended["published"]})
        say("5. It is promoted, and can be rolled back", send_images(camera, _REPAIRED, NOISE))
        if keep:
            say(f"Look at {url} (Versions compares both), {url}/docs, and the README's tour. Ctrl-C ends the service")
            process.wait()


@contextmanager
def serving() -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A service with the starter models in a temporary repository: its process and URL."""
    with tempfile.TemporaryDirectory(prefix="denge-demo-") as folder:
        command = [sys.executable, "-m", "service", "--port", "0", "--repository", f"{folder}/repository"]
        with subprocess.Popen([*command, "--log-level", "error"], stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - ours
            try:
                announced = next(iter(process.stdout or ()), "")
                if not announced:
                    raise NotReady("the service has not started: its message is above; `denge doctor` says what to do")
                yield process, announced.split()[-1]
            except KeyboardInterrupt:
                pass
            finally:
                process.terminate()


def _until(holds: Callable[[], bool], camera: Camera, what: str) -> None:
    """Send noisy images until something holds."""
    with ProgressLine("demo") as progress:
        for sent in range(_MOST):
            if sent % 20 == 0 and holds():
                return
            progress(f"sending more images, until there is {what}")
            camera.send(NOISE)
    raise NotReady(f"{what}: not after {_MOST:,} images")


def _wait(client: Client, job: str) -> dict[str, Any]:
    """A job when it is finished, or what it is still doing after minutes."""
    with ProgressLine("demo") as progress:
        for _ in range(_MOST_WAITS):
            found = client.ask("GET", f"{job}?wait=10")
            if found["is_finished"]:
                break
            progress(f"the new version: {found['state']}")
    return found


def _drift(client: Client) -> dict[str, Any]:
    return client.ask("GET", f"{_PATH}/drift?window=1m")


def _verdict(client: Client) -> str:
    return f"Verdict of the last minute: {_drift(client)['message']}"


def _accuracy(job: dict[str, Any]) -> str:
    before, after = (job[name] for name in ("accuracy_before", "accuracy_after"))
    return f"Estimated accuracy on them: {_interval(before)} before, {_interval(after)} after"


def _interval(estimate: dict[str, float]) -> str:
    return "{accuracy:.0%} ({low:.0%} to {high:.0%})".format(**estimate)


def _say(*lines: object) -> None:
    print(*lines, sep="\n   ", flush=True)


def _say_as_json(step: object, *lines: object) -> None:
    shown = [line._asdict() if isinstance(line, Answers) else line for line in lines]
    print(orjson.dumps({"step": step, "found": shown}).decode(), flush=True)

"""Kills replicas and the store, cuts a replica off, and promotes a version, while verified predictions are sent.

    python -m benchmarks.fleet                                               three processes and a redis-server
    python -m benchmarks.fleet --folder FOLDER                               the same, on a small disk, which is filled
    python -m benchmarks.fleet --compose "docker compose --profile fleet"    its containers, which run already

Every answer is compared with the outputs of its version, computed here. Exits with 1 where a request was lost, an
answer was wrong or outdated, or the replicas did not agree in time.
"""

import argparse
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import orjson

from benchmarks.fleet.fleets import ComposeFleet, LocalFleet
from benchmarks.fleet.traffic import Traffic, shifted
from benchmarks.fleet.versions import MODEL

REPLICAS = 3
AGREE_SECONDS = 60.0
ALARM_SECONDS = 60.0
SETTLE_SECONDS = 3.0
"""Of traffic between two faults."""
CUT_OFF_SECONDS = 12.0
"""Long enough for the others to drop the replica."""

Fleet = LocalFleet | ComposeFleet


class Run:
    """One run of all faults.

    Args:
        fleet: to which they happen.
        traffic: that is sent meanwhile.
        alarms: messages of the webhook.
    """

    def __init__(self, fleet: Fleet, traffic: Traffic, alarms: list[dict[str, Any]]) -> None:
        self._fleet = fleet
        self._traffic = traffic
        self._alarms = alarms
        self.has_failed = False
        self._members: set[str] = set()
        self._client = httpx2.Client(timeout=60, headers={"Authorization": f"Bearer {fleet.token()}"})

    def fault(self, name: str, action: Callable[[], object], seconds: float = SETTLE_SECONDS) -> None:
        before = self._traffic.counts.answered, self._traffic.counts.lost
        action()
        time.sleep(seconds)
        after = self._traffic.counts
        self.say(f"{name}: {after.answered - before[0]} answered, {after.lost - before[1]} lost")

    def repair(self, name: str, action: Callable[[], object], *, is_new: bool = False) -> None:
        """Undo a fault, and wait for agreement: of another process among the replicas, where one has died."""
        action()
        seconds = self.wait_for_agreement(self._members if is_new else set())
        self.say(f"{name}: the state agrees after {seconds:.1f} s")
        self.has_failed |= seconds > AGREE_SECONDS

    def wait_for_agreement(self, former: set[str]) -> float:
        """Seconds until all replicas are ready and serve one revision of the catalog, and the store answers.

        Args:
            former: ids of the replicas before one of them died.
        """
        started = time.perf_counter()
        while (seconds := time.perf_counter() - started) < AGREE_SECONDS:
            states = [self._replicas(url) for url in self._fleet.urls]
            if all(state is not None and self._agrees(state, former) for state in states):
                return seconds
            time.sleep(0.2)
        print(orjson.dumps(states, option=orjson.OPT_INDENT_2).decode())
        return float("inf")

    def promote(self) -> None:
        self._fleet.publish_second()
        self.change("load", f"/v2/repository/models/{MODEL}/load", {})
        self.change("promote", f"/v2/models/{MODEL}/rollout/promote", {"version": 2})
        self._traffic.note_promotion()

    def try_to_promote(self) -> None:
        """Promote what is served already: with a full disk that is refused in words."""
        answer = self._client.post(f"{self._fleet.urls[0]}/v2/models/{MODEL}/rollout/promote", json={"version": 1})
        self.say(f"promote: {answer.status_code} {answer.text[:200]}")
        self.has_failed |= answer.status_code != HTTPStatus.SERVICE_UNAVAILABLE

    def change(self, name: str, path: str, body: dict[str, Any]) -> None:
        for url in self._fleet.urls:
            try:
                answer = self._client.post(f"{url}{path}", json=body)
            except httpx2.TransportError:
                continue
            self.say(f"{name}: {answer.status_code} {answer.text[:120]}")
            self.has_failed |= answer.status_code != 200
            return
        self.has_failed = True

    def raise_alarm(self) -> None:
        """Send images in negative until an alarm is delivered, and see whether every change of it comes once."""
        ends = time.perf_counter() + ALARM_SECONDS
        while not any(self._is_raised(alarm, "2") for alarm in self._alarms) and time.perf_counter() < ends:
            for url in self._fleet.urls:
                self._client.post(f"{url}/v2/models/{MODEL}/infer", json=shifted(32))
        time.sleep(ALARM_SECONDS / 6)
        states = {version: [self._is_raised(alarm, version) for alarm in self._of(version)] for version in ("1", "2")}
        # A change that was delivered twice would not be the opposite of the one before it.
        is_once = all(changes == [i % 2 == 0 for i in range(len(changes))] for changes in states.values())
        self.say(f"changes of alarms delivered, by version: {states}, each once: {is_once}")
        self.has_failed |= not is_once or True not in states["2"]

    def _of(self, version: str) -> list[dict[str, Any]]:
        return [alarm for alarm in self._alarms if alarm["data"]["version"] == version]

    def _is_raised(self, alarm: dict[str, Any], version: str) -> bool:
        return bool(alarm["data"]["version"] == version and alarm["data"]["alarm"])

    def compare_statistics(self) -> None:
        """Ask every replica for the live statistics of all rows, when no more are sent."""
        started = time.perf_counter()
        while (seconds := time.perf_counter() - started) < AGREE_SECONDS:
            reports = [orjson.loads(text) for text in self._fleet.ask_each(f"/v2/models/{MODEL}/live?window=1h")]
            if all(report == reports[0] for report in reports):
                self.say(f"live statistics: equal on all replicas after {seconds:.1f} s, rows {reports[0]['rows']}")
                return
            time.sleep(0.5)
        self.say(f"live statistics differ: rows {[report['rows'] for report in reports]}")
        self.has_failed = True

    def holder(self) -> int | None:
        """The replica with a lease."""
        for key in self._fleet.ask_store("--scan", "--pattern", "*:lease:*").split():
            if (index := self._fleet.index_of(self._fleet.ask_store("get", key).strip())) is not None:
                return index
        return None

    def say(self, what: str) -> None:
        print(what, flush=True)

    def _replicas(self, url: str) -> dict[str, Any] | None:
        try:
            return dict(self._client.get(f"{url}/v2/replicas").json())
        except (httpx2.TransportError, ValueError):
            return None

    def _agrees(self, state: dict[str, Any], former: set[str]) -> bool:
        replicas = state["replicas"]
        ready = {replica["id"]: replica["catalog_revision"] for replica in replicas if replica["state"] == "ready"}
        agrees = len(ready) == len(replicas) == REPLICAS and len(set(ready.values())) == 1
        if not agrees or ready.keys() == former or not state["store"]["available"]:
            return False
        self._members = {*ready}
        return True


def run_all(run: Run, fleet: Fleet) -> None:
    run.repair("start", lambda: None)
    run.fault("a replica is killed", lambda: fleet.kill_replica(1))
    run.repair("it starts again", lambda: fleet.start_replica(1), is_new=True)
    holder = run.holder()
    if holder is None:
        run.say("no replica holds a lease")
    else:
        run.fault(f"the lease's holder, replica {holder}, is killed", lambda: fleet.kill_replica(holder))
        run.repair("it starts again", lambda: fleet.start_replica(holder), is_new=True)
    run.fault("the store is killed", fleet.kill_store)
    run.repair("it starts again, with its data", fleet.start_store)
    run.repair("the store loses its data", lambda: fleet.ask_store("flushall"))
    if fleet.cut_off(2):
        run.fault("replica 2 is cut off the store", lambda: None, CUT_OFF_SECONDS)
        run.repair("it is connected again", lambda: fleet.reconnect(2))
    if fleet.fill_disk():
        run.fault("the disk is full", run.try_to_promote, CUT_OFF_SECONDS)
        run.repair("there is space again", fleet.free_disk)
    run.fault("version 2 is promoted", run.promote)
    run.raise_alarm()


@contextmanager
def receiving(port: int) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """A webhook's receiver. Yields its port and the messages."""
    messages: list[dict[str, Any]] = []

    class Receive(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            message = orjson.loads(self.rfile.read(int(self.headers["Content-Length"])))
            messages.append({"id": self.headers["webhook-id"], **message})
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("0.0.0.0", port), Receive) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, messages
        server.shutdown()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=__doc__)
    parser.add_argument("--compose", default=os.environ.get("COMPOSE", ""), help="the command; if absent, processes")
    parser.add_argument("--folder", type=Path, help="of the processes, on a small disk that may be filled")
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="of the balancer")
    parser.add_argument("--webhook-port", type=int, default=0, help="of DENGE_WEBHOOK_URL, where containers run")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=given.folder) as folder, receiving(given.webhook_port) as (port, alarms):
        compose = ComposeFleet(given.compose, given.url) if given.compose else None
        fleet = compose or LocalFleet(REPLICAS, Path(folder), port)
        try:
            with Traffic(fleet.urls) as traffic:
                run = Run(fleet, traffic, alarms)
                run_all(run, fleet)
            run.compare_statistics()
        finally:
            fleet.stop()
    counts = traffic.counts
    for problem in traffic.problems[:10]:
        print(f"  {problem}")
    if compose is not None:
        counts.retried = compose.retried()
    print(counts)
    return int(run.has_failed or bool(counts.lost or counts.wrong or counts.outdated))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Kills replicas and the store, cuts a replica off, and promotes a version, while verified predictions are sent.

    python -m benchmarks.fleet                                            three processes and a redis-server
    python -m benchmarks.fleet --compose "docker compose --profile fleet"  containers that run already

Every answer is compared with the outputs of its version, computed here. Exits with 1 where a request was lost, an answer
was wrong or outdated, or the replicas did not agree in time.
"""

import argparse
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import orjson

from benchmarks.fleet.fleets import ComposeFleet, LocalFleet
from benchmarks.fleet.traffic import Traffic, shifted
from benchmarks.fleet.versions import MODEL

AGREE_SECONDS = 60.0
SETTLE_SECONDS = 3.0
"""Of traffic between two faults."""

Fleet = LocalFleet | ComposeFleet


class Run:
    """One run of all faults.

    Args:
        fleet: to which they happen.
        traffic: that is sent meanwhile.
        alarms: messages of the webhook.
    """

    def __init__(self, fleet: Fleet, traffic: Traffic, alarms: list[dict[str, object]]) -> None:
        self._fleet = fleet
        self._traffic = traffic
        self._alarms = alarms
        self.has_failed = False
        self._client = httpx2.Client(timeout=60, headers={"Authorization": f"Bearer {fleet.token()}"})

    def fault(self, name: str, action: Callable[[], object]) -> None:
        before = self._traffic.counts.answered, self._traffic.counts.lost
        action()
        time.sleep(SETTLE_SECONDS)
        after = self._traffic.counts
        self.say(f"{name}: {after.answered - before[0]} answered, {after.lost - before[1]} lost")

    def repair(self, name: str, action: Callable[[], object]) -> None:
        action()
        seconds = self.wait_for_agreement()
        self.say(f"{name}: the state agrees after {seconds:.1f} s")
        self.has_failed |= seconds > AGREE_SECONDS

    def wait_for_agreement(self) -> float:
        """Seconds until all replicas are ready and serve one revision of the catalog, and the store answers."""
        started = time.perf_counter()
        while (seconds := time.perf_counter() - started) < AGREE_SECONDS:
            states = [self._replicas(url) for url in self._fleet.urls]
            if all(state is not None and self._agrees(state) for state in states):
                return seconds
            time.sleep(0.2)
        print(orjson.dumps(states, option=orjson.OPT_INDENT_2).decode())
        return float("inf")

    def promote(self) -> None:
        self._fleet.publish_second()
        self.change("load", f"/v2/repository/models/{MODEL}/load", {})
        self.change("promote", f"/v2/models/{MODEL}/rollout/promote", {"version": 2})
        self._traffic.note_promotion()

    def change(self, name: str, path: str, body: dict[str, object]) -> None:
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
        """Send rows that have moved until an alarm is delivered; then see whether it comes again."""
        ends = time.perf_counter() + 60
        while not self._alarms and time.perf_counter() < ends:
            for each in self._fleet.urls:
                self._client.post(f"{each}/v2/models/{MODEL}/infer", json=shifted(32))
        time.sleep(10)
        self.say(f"alarms delivered: {len(self._alarms)}")
        for alarm in self._alarms:
            self.say(f"  {alarm}")
        self.has_failed |= len(self._alarms) != 1

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

    def _replicas(self, url: str) -> dict[str, object] | None:
        try:
            return dict(self._client.get(f"{url}/v2/replicas").json())
        except (httpx2.TransportError, ValueError):
            return None

    def _agrees(self, state: dict[str, object]) -> bool:
        replicas, store = state["replicas"], state["store"]
        assert isinstance(replicas, list)
        assert isinstance(store, dict)
        ready = [replica["catalog_revision"] for replica in replicas if replica["state"] == "ready"]
        return bool(store["available"]) and len(ready) == len(replicas) == REPLICAS and len(set(ready)) == 1


REPLICAS = 3


def run_all(run: Run, fleet: Fleet) -> None:
    run.repair("start", lambda: None)
    run.fault("a replica is killed", lambda: fleet.kill_replica(1))
    run.repair("it starts again", lambda: fleet.start_replica(1))
    holder = run.holder()
    if holder is None:
        run.say("no replica holds a lease")
    else:
        run.fault(f"the lease's holder, replica {holder}, is killed", lambda: fleet.kill_replica(holder))
        run.repair("it starts again", lambda: fleet.start_replica(holder))
    run.fault("the store is killed", fleet.kill_store)
    run.repair("it starts again, with its data", fleet.start_store)
    run.repair("the store loses its data", lambda: fleet.ask_store("flushall"))
    if fleet.cut_off(2):
        run.fault("replica 2 is cut off the store", lambda: None)
        run.repair("it is connected again", lambda: fleet.reconnect(2))
    run.fault("version 2 is promoted", run.promote)
    run.raise_alarm()


@contextmanager
def receiving(port: int) -> Iterator[tuple[int, list[dict[str, object]]]]:
    """A webhook's receiver. Yields its port and the messages."""
    messages: list[dict[str, object]] = []

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
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="of the balancer")
    parser.add_argument("--webhook-port", type=int, default=0, help="of DENGE_WEBHOOK_URL, where containers run")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, receiving(given.webhook_port) as (port, alarms):
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

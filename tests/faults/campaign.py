"""Attacks a service, one attack after the other, while a well-behaved client goes on sending requests.

python -m tests.faults.campaign            the whole of it, for the table in docs/reliability.md
"""

import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.end_to_end.conftest import ROOT, environment, running
from tests.faults.attacks import bodies, connections, heads, images
from tests.faults.attacks.attack import WHOLE, Attack, Scale
from tests.faults.probe import ProbeResult
from tests.faults.target import HANGS, Memory, Target

ATTACKS = [*heads.ATTACKS, *connections.ATTACKS, *bodies.ATTACKS, *images.ATTACKS]


@dataclass(frozen=True)
class Outcome:
    """What became of an attack.

    Attributes:
        attack: that was made.
        statuses: how often each was answered.
        probed: of the client beside it.
        before: the service's memory before it, bytes.
        memory: the most during it, and what was left after it.
    """

    attack: Attack
    statuses: Counter[str]
    probed: ProbeResult
    before: int
    memory: Memory

    @property
    def wrong(self) -> list[str]:
        """What a healthy service would not have done."""
        answers = [f"answered {status}" for status in sorted(set(self.statuses) - self.attack.allowed)]
        return [*answers, *self.probed.wrong]


@contextmanager
def target(folder: Path, max_body_mib: int, *arguments: str) -> Iterator[Target]:
    """A service with the starter models."""
    with running(folder / "repository", "--max-body-mib", str(max_body_mib), *arguments) as process:
        service = Target(process.port, process.popen.pid, max_body_mib << 20)
        # Made last by a service that starts: in the second until then, threads of its own share the interpreter.
        assert service.send([b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"]) == "200"
        yield service
        assert process.stop() == 0


def attack(service: Target, attacked: Attack, scale: Scale) -> Outcome:
    """Make one attack."""
    before = service.memory().now
    service.forget_peak()
    command = [sys.executable, "-m", "tests.faults.probe", str(service.port), str(service.process)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(), cwd=ROOT
    ) as probe:
        assert probe.stdout is not None
        assert probe.stdout.readline() == "watching\n"
        statuses = Counter(attacked.run(service, scale))
        probed = ProbeResult(**json.loads(probe.communicate()[0]))
    return Outcome(attacked, statuses, probed, before, service.memory())


def table(outcomes: Iterable[Outcome]) -> Iterator[str]:
    """Rows of the table in docs/reliability.md."""
    yield "| attack | answered | health at most | of it for a processor | a prediction | memory, most | left | wrong |"
    yield "|---|---|---|---|---|---|---|---|"
    for outcome in outcomes:
        answered = ", ".join(f"{status} x {count}" for status, count in outcome.statuses.most_common())
        probed = outcome.probed
        seconds = (probed.health_seconds, probed.processor_seconds, probed.prediction_seconds)
        memory = (outcome.memory.peak, outcome.memory.now)
        cells = [
            outcome.attack.name,
            answered,
            *(f"{waited * 1e3:.0f} ms" for waited in seconds),
            *(f"{(size - outcome.before) / 2**20:+.0f} MiB" for size in memory),
            "; ".join(outcome.wrong[:2]),
        ]
        yield f"| {' | '.join(cells)} |"


def main() -> int:
    """The whole campaign. Returns how many attacks did harm."""
    harm = 0
    with tempfile.TemporaryDirectory() as folder, target(Path(folder), 64) as service:
        wanted = [each for each in ATTACKS if all(word in each.name for word in sys.argv[1:])]
        for number, each in enumerate(wanted):
            outcome = attack(service, each, WHOLE)
            harm += bool(outcome.wrong) or HANGS in outcome.statuses
            print("\n".join(list(table([outcome]))[0 if number == 0 else 2 :]), flush=True)  # noqa: T201
    return harm


if __name__ == "__main__":
    sys.exit(min(main(), 100))

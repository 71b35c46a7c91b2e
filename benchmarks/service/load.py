"""Closed-loop load by one wrk thread: every connection sends its next request when it has its answer."""

import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.service.cases import Question

TIMEOUT_SECONDS = 20
MARK = "result: "

SCRIPT = """
local requests, turn = {}, 0
for i = 1, COUNT do
  local file = io.open("FOLDER/" .. i, "rb")
  requests[i] = file:read("*a")
  file:close()
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary, latency)
  local errors = summary.errors
  local line = '{"requests": %d, "microseconds": %d, "p50": %f, "p99": %f, "status": %d, "socket": %d, "timeout": %d}'
  print("MARK" .. line:format(
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write, errors.timeout))
end
"""


@dataclass(frozen=True)
class Load:
    """What wrk saw. `requests` are the good ones."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    errors: dict[str, int]


def load(port: int, questions: Sequence[Question], *, concurrency: int, seconds: float, core: int | str) -> Load:
    with tempfile.TemporaryDirectory(prefix="denge-benchmark-") as folder:
        for i, question in enumerate(questions, start=1):
            Path(folder, str(i)).write_bytes(_request(port, question))
        script = Path(folder, "script.lua")
        filled = SCRIPT.replace("COUNT", str(len(questions))).replace("FOLDER", folder).replace("MARK", MARK)
        script.write_text(filled, encoding="utf-8")
        command = ["taskset", "--cpu-list", str(core), "wrk", "--threads", "1", "--connections", str(concurrency)]
        command += ["--duration", f"{seconds}s", "--timeout", f"{TIMEOUT_SECONDS}s", "--script", str(script)]
        ran = subprocess.run(
            [*command, f"http://127.0.0.1:{port}"], check=False, capture_output=True, text=True, timeout=seconds + 60
        )
    results = [line.removeprefix(MARK) for line in ran.stdout.splitlines() if line.startswith(MARK)]
    if not results:
        raise RuntimeError(f"wrk gave no result: {ran.stdout}{ran.stderr}")
    seen = json.loads(results[0])
    return Load(
        requests=seen["requests"] - seen["status"],
        seconds=seen["microseconds"] / 1e6,
        p50_ms=seen["p50"] / 1e3,
        p99_ms=seen["p99"] / 1e3,
        errors={kind: seen[kind] for kind in ("status", "socket", "timeout")},
    )


def _request(port: int, question: Question) -> bytes:
    headers = {"Host": f"127.0.0.1:{port}", **question.headers, "Content-Length": str(len(question.body))}
    lines = [f"POST {question.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode() + question.body

"""The floor: onnxruntime in a loop, in a process of its own, without HTTP.

python -m benchmarks.service.in_process CASE MODELS SECONDS    prints one JSON object
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.service import process
from benchmarks.service.cases import CASES, inputs
from benchmarks.service.session import open_session


def main(case_name: str, models: str, seconds: str) -> None:
    case = CASES[case_name]
    run = open_session(Path(models, f"{case.model}.onnx")).run
    feeds = [{"input": rows} for rows in inputs(case)]
    run(None, feeds[0])
    first_answer = time.monotonic()

    spans: list[float] = []
    cpu, begin = time.process_time(), time.perf_counter()
    last = begin
    while last < begin + float(seconds):
        run(None, feeds[len(spans) % len(feeds)])
        now = time.perf_counter()
        spans.append(now - last)
        last = now
    cpu = time.process_time() - cpu

    p50, p99 = 1000 * np.percentile(spans, [50, 99])
    result = {
        "requests": len(spans),
        "seconds": last - begin,
        "cpu_seconds": cpu,
        "p50_ms": p50,
        "p99_ms": p99,
        "first_answer": first_answer,  # on the clock that all processes share
        "rss_mib": process.rss_mib([os.getpid()]),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])

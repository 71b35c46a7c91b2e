"""Traces of a service that runs in several processes."""

from pathlib import Path

import httpx2
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from models.repository.repository import Repository
from tests.bundles import tiny_bundle
from tests.end_to_end.conftest import TIMEOUT_SECONDS, running
from tests.end_to_end.test_process import BODY
from tests.service.tracing import PARENT, TRACE, TRACEPARENT, collecting


@pytest.mark.slow
def test_each_process_exports_the_spans_of_its_requests(tmp_path: Path) -> None:
    Repository(tmp_path / "repository").publish(tiny_bundle())
    with collecting() as (endpoint, received):
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_COMPRESSION": "none"}
        with running(tmp_path / "repository", "--traces", "otlp", "--workers", "2", **variables) as process:
            headers = {"traceparent": TRACEPARENT}
            with httpx2.Client(base_url=process.url, headers=headers, timeout=TIMEOUT_SECONDS) as client:
                assert client.post("/v2/models/tiny/infer", content=BODY).status_code == 200
                assert client.get("/v2/models/tiny").status_code == 200  # forwarded by a worker
            assert process.stop() == 0

    spans = [span for part in received for r in part.resource_spans for s in r.scope_spans for span in s.spans]
    assert {span.trace_id.hex() for span in spans} == {TRACE}
    names = [span.name for span in spans if span.parent_span_id.hex() == PARENT and span.kind == Span.SPAN_KIND_SERVER]
    assert sorted(names) == ["GET /v2/models/{model}", "POST /v2/models/{model}/infer"]
    assert {"decode", "run", "encode"} <= {span.name for span in spans}

"""Schemathesis over /openapi.json: generated requests, valid and invalid, to every operation, with all its checks.

The run is deterministic. FUZZ_EXAMPLES=40 makes it longer: it is the number of random requests for each operation,
after those that cover the schemas. With more than one there are sequences of requests as well.
"""

import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from pydantic import BaseModel, SecretStr
from schemathesis import engine
from schemathesis.core.failures import Failure
from schemathesis.engine import events
from schemathesis.python.asgi import shutdown_lifespans

from service.app import create_app
from service.settings import Settings

TOKEN = "an-admin-token-of-the-tests"

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "1"))

UNLOAD = ["unload_model", "unload_version"]
"""Operations that run last: without models, the others have little to do."""

SEQUENCES = "Stateful tests"
"""The label of sequences of requests, in place of an operation's."""

WITHOUT_POSITIVE_DATA = {
    "whether a body is valid depends on the model, or on its other fields": [
        *("infer", "predict", "classify", "regress"),
        *("infer_version", "predict_version", "classify_version", "regress_version"),
        *("predict_label", "classify_label", "regress_label", "normalize", "normalize_with_layer"),
    ],
    "not all bytes are an image, and not every model takes texts": ["predict_labels", "predict_labels_version"],
    "only generators generate": ["generate_images", "generate_images_version"],
    "a change depends on the state of the versions": [
        *("set_canary", "set_shadow", "set_domains", "set_label", "promote_version", "roll_back", "unload_version"),
        *("start_recalibration", "start_recalibration_version", "start_reference", "start_reference_version"),
        *("start_quantization", "start_quantization_version"),
        *("begin_baseline", "begin_baseline_version", "start_auto"),
    ],
    "thresholds are measured for a range of rates, which is the model's": ["get_drift", "get_drift_version"],
}
"""Operations that refuse requests of which their description says nothing, by reason."""

CONFIG: dict[str, Any] = {
    "seed": 1,
    "headers": {"Authorization": f"Bearer {TOKEN}"},
    "continue-on-failure": True,
    "max-stream-events": 1,
    "generation": {"max-examples": EXAMPLES, "deterministic": True, "database": "none", "no-shrink": True},
    "phases": {"coverage": {"unexpected-methods": ["OPTIONS", "PATCH"]}, "stateful": {"enabled": EXAMPLES > 1}},
    "checks": {
        # A model that is not loaded is no defect.
        "not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx", "503"]},
        # Names, versions and layers are made up.
        "positive_data_acceptance": {"expected-statuses": ["2xx", "404", "503"]},
    },
    "operations": [
        {"include-operation-id": operations, "checks": {"positive_data_acceptance": {"enabled": False}}}
        for operations in WITHOUT_POSITIVE_DATA.values()
    ],
}


class Run:
    """What came of all requests.

    Attributes:
        failures: in words.
        statuses: how often each operation was answered with each status.
    """

    def __init__(self, schema: Any) -> None:
        self.failures: list[str] = []
        self.statuses: Counter[tuple[str, int]] = Counter()
        for event in engine.from_schema(schema).execute():
            match event:
                case events.ScenarioFinished(recorder=recorder):
                    self._record(recorder)
                case events.NonFatalError(label=label, value=value):
                    self.failures.append(f"{label}: {value!r}")
                case events.FatalError(exception=exception):
                    raise exception

    def _record(self, recorder: Any) -> None:
        for identity, checks in recorder.checks.items():
            interaction = recorder.interactions.get(identity)
            for check in checks:
                if check.failure_info is not None:
                    self.failures.append(f"{recorder.label}: {describe(check.failure_info.failure, interaction)}")
        for interaction in recorder.interactions.values():
            assert interaction.response is not None, f"{recorder.label} was not answered"
            self.statuses[recorder.label, int(interaction.response.status_code)] += 1


def describe(failure: Failure, interaction: Any) -> str:
    lines = [failure.title, failure.message]
    if interaction is not None:
        request, response = interaction.request, interaction.response
        lines.append(f"{request.method} {request.uri} {bytes(request.body or b'')[:500]!r}")
        lines.append(f"{response.status_code} {response.content[:500]!r}")
    return "\n    ".join(line for line in lines if line)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The description of the service with the starter models, for which its examples are made."""
    settings = Settings(
        repository=tmp_path_factory.mktemp("fuzz") / "repository",
        admin_token=SecretStr(TOKEN),
        api_keys=SecretStr("an-api-key-of-the-tests"),
        max_body_mib=1,
        log_level="error",
    )
    app = create_app(settings)
    app.framework.prepare()  # schemathesis waits for the description ten seconds, a busy machine takes longer
    yield schemathesis.openapi.from_asgi("/openapi.json", app, config=schemathesis.Config.from_dict(CONFIG))
    shutdown_lifespans()


def test_every_response_is_as_described(api: Any) -> None:
    run = Run(api.exclude(operation_id=UNLOAD))
    run_last = Run(api.include(operation_id=UNLOAD))

    assert "\n".join(run.failures + run_last.failures) == ""
    statuses = run.statuses + run_last.statuses
    called = {label for label, _ in statuses} - {SEQUENCES}
    assert called == {operation.ok().label for operation in api.get_all_operations()}
    succeeded = {label for label, status in statuses if status < 300}
    # Of versions: there is one of each model, which can be no canary, shadow, domain or predecessor. Of jobs: a made-up
    # id is none's, and rows are collected already. Of images: no starter is a generator.
    assert len(called - succeeded) <= 19, sorted(called - succeeded)


class Answer(BaseModel):
    """What is promised."""

    count: int


def test_an_answer_that_is_not_as_described_is_found() -> None:
    app = FastAPI()

    @app.get("/text", response_model=None, responses={200: {"model": Answer}})
    async def text() -> dict[str, str]:
        return {"count": "many"}

    try:
        run = Run(schemathesis.openapi.from_asgi("/openapi.json", app, config=schemathesis.Config.from_dict(CONFIG)))
    finally:
        shutdown_lifespans()

    assert any("GET /text" in failure and "many" in failure for failure in run.failures)

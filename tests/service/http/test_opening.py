"""What is printed when the service has started."""

import errno
import json
from io import BytesIO
from pathlib import Path

import pytest
from pydantic import SecretStr

from models.errors import StorageError
from service.host import sockets, streams
from service.http.opening import announce, announce_others, report_failure
from service.settings import Settings
from tests.bundles import image_bundle


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> BytesIO:
    output = BytesIO()
    monkeypatch.setattr(streams, "standard_output", lambda: output)
    return output


def start(settings: Settings) -> None:
    (bound,) = sockets.bind(sockets.resolve("127.0.0.1"), 0)
    with bound:
        announce([bound], settings, [("photos", image_bundle().manifest)])
    announce_others({"gRPC": "127.0.0.1:8001"}, settings)


def test_people_get_addresses_and_a_request_of_a_model_that_is_served(printed: BytesIO, tmp_path: Path) -> None:
    start(Settings(repository=tmp_path))

    first, *lines = printed.getvalue().decode().splitlines()
    names = [line.split(":")[0].strip() for line in lines]
    assert first.startswith("Denge serves on http://127.0.0.1:")
    assert names == ["page", "API", "try", "layers", "gRPC"]
    assert "/v2/models/photos/predict" in lines[2]


def test_programs_get_one_line_of_json(printed: BytesIO, tmp_path: Path) -> None:
    start(Settings(repository=tmp_path, json_addresses=True))

    found, others = map(json.loads, printed.getvalue().splitlines())
    assert found["page"] == f"{found['url']}/"
    assert list(found["requests"]) == ["try", "layers"]
    assert others == {"other_addresses": {"gRPC": "127.0.0.1:8001"}}


def test_where_predictions_need_a_key_the_requests_have_a_place_for_it(printed: BytesIO, tmp_path: Path) -> None:
    start(Settings(repository=tmp_path, api_keys=SecretStr("a-key-of-enough-length"), json_addresses=True))

    requests = json.loads(printed.getvalue().splitlines()[0])["requests"]
    assert '-H "Authorization: Bearer $API_KEY"' in requests["try"]
    assert b"a-key-of-enough-length" not in printed.getvalue()


@pytest.mark.parametrize(
    ("file", "named"),
    [
        ("/repository/m/folded.onnx", ": '/repository/m/folded.onnx'"),
        (b"/r/\xff", ": '/r/\\udcff'"),
        (None, ""),
        (7, ""),
    ],
)
def test_a_start_that_fails_by_a_file_names_it(
    monkeypatch: pytest.MonkeyPatch, file: str | bytes | int | None, named: str
) -> None:
    output = BytesIO()
    monkeypatch.setattr(streams, "standard_error", lambda: output)
    error = StorageError("load all models: No space left on device")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device", file)

    report_failure(error)

    assert (
        output.getvalue().decode() == f"the service does not start: load all models: No space left on device{named}\n"
    )

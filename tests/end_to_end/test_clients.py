"""The protocol's own clients, unmodified."""

import asyncio
from pathlib import Path

import numpy as np
import onnx
import pytest
import tritonclient.http
import tritonclient.http.aio
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from onnx.reference import ReferenceEvaluator
from tritonclient.utils import InferenceServerException

from models.repository import Repository
from tests.bundles import tiny_bundle
from tests.end_to_end.conftest import Process, running

ROWS = np.random.default_rng(0).normal(scale=3, size=(5, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory):
    root: Path = tmp_path_factory.mktemp("clients") / "repository"
    Repository(root).publish(tiny_bundle())
    with running(root) as process:
        yield process


@pytest.fixture
def triton(process: Process):
    with tritonclient.http.InferenceServerClient(process.url.removeprefix("http://")) as client:
        yield client


def expected() -> np.ndarray:
    return ReferenceEvaluator(onnx.load_from_string(tiny_bundle().source)).run(None, {"input": ROWS})[0]


def close(got: np.ndarray) -> bool:
    return got.shape == (5, 2) and np.allclose(got, expected(), rtol=1e-5, atol=1e-6)


def test_the_comparison_can_fail() -> None:
    assert not close(expected() + 1e-4)
    assert not close(np.zeros((5, 2)))


def triton_input(client_module, *, binary: bool):
    tensor = client_module.InferInput("input", list(ROWS.shape), "FP32")
    tensor.set_data_from_numpy(ROWS, binary_data=binary)
    return tensor


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False, None])
def test_triton_client_predicts(triton, binary_in: bool, binary_out: bool | None) -> None:
    outputs = None
    if binary_out is not None:
        outputs = [tritonclient.http.InferRequestedOutput("logits", binary_data=binary_out)]
    result = triton.infer("tiny", [triton_input(tritonclient.http, binary=binary_in)], outputs=outputs, request_id="7")

    assert close(result.as_numpy("logits"))
    assert result.get_response()["id"] == "7"


@pytest.mark.parametrize("packed", ["gzip", "deflate"])
@pytest.mark.parametrize("binary", [True, False])
def test_triton_client_predicts_compressed_both_ways(triton, packed: str, binary: bool) -> None:
    result = triton.infer(
        "tiny",
        [triton_input(tritonclient.http, binary=binary)],
        request_compression_algorithm=packed,
        response_compression_algorithm=packed,
        priority=1,
        timeout=60_000_000,
    )

    assert close(result.as_numpy("logits"))


def test_triton_asyncio_client_predicts(process: Process) -> None:
    async def infer() -> np.ndarray:
        async with tritonclient.http.aio.InferenceServerClient(process.url.removeprefix("http://")) as client:
            result = await client.infer("tiny", [triton_input(tritonclient.http, binary=True)])
            return result.as_numpy("logits")

    assert close(asyncio.run(infer()))


def test_triton_client_reads_health_and_metadata(triton) -> None:
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("tiny")
    assert triton.is_model_ready("tiny", "1")
    assert not triton.is_model_ready("nobody")
    assert triton.get_server_metadata()["name"] == "denge"
    assert triton.get_model_metadata("tiny")["inputs"] == [{"name": "input", "datatype": "FP32", "shape": [-1, 4]}]


def test_triton_client_manages_the_repository(triton) -> None:
    ready = [{"name": "tiny", "version": "1", "state": "READY", "reason": ""}]

    assert triton.get_model_repository_index() == ready
    triton.unload_model("tiny")
    assert not triton.is_model_ready("tiny")
    triton.load_model("tiny")
    assert triton.get_model_repository_index() == ready


def test_triton_client_reads_classes_statistics_and_configuration(triton) -> None:
    wanted = [tritonclient.http.InferRequestedOutput("logits", class_count=1)]
    result = triton.infer("tiny", [triton_input(tritonclient.http, binary=True)], outputs=wanted)

    indices = [int(text.decode().split(":")[1]) for text in result.as_numpy("logits").reshape(-1)]
    assert indices == expected().argmax(1).tolist()
    assert triton.get_inference_statistics("tiny")["model_stats"][0]["inference_count"] > 0
    assert triton.get_model_config("tiny")["input"][0]["data_type"] == "TYPE_FP32"


def test_triton_client_shows_the_servers_errors(triton) -> None:
    wrong = tritonclient.http.InferInput("input", [5, 3], "FP32")
    wrong.set_data_from_numpy(ROWS[:, :3].copy())

    with pytest.raises(InferenceServerException, match=r"inputs\[0\].shape"):
        triton.infer("tiny", [wrong])
    with pytest.raises(InferenceServerException, match="unknown model: 'nobody'"):
        triton.infer("nobody", [triton_input(tritonclient.http, binary=True)])


@pytest.mark.parametrize("binary", [True, False])
def test_kserve_client_predicts(process: Process, binary: bool) -> None:
    async def infer() -> np.ndarray:
        client = InferenceRESTClient(RESTConfig(protocol="v2"))
        tensor = InferInput("input", list(ROWS.shape), "FP32")
        tensor.set_data_from_numpy(ROWS, binary_data=binary)
        request = InferRequest(model_name="tiny", infer_inputs=[tensor])
        response = await client.infer(process.url, request, model_name="tiny")
        await client.close()
        return response.outputs[0].as_numpy()

    assert close(asyncio.run(infer()))


def test_kserve_client_reads_health(process: Process) -> None:
    async def health() -> tuple[bool, bool, bool]:
        client = InferenceRESTClient(RESTConfig(protocol="v2"))
        answers = (
            await client.is_server_live(process.url),
            await client.is_server_ready(process.url),
            await client.is_model_ready(process.url, "tiny"),
        )
        await client.close()
        return answers

    assert asyncio.run(health()) == (True, True, True)

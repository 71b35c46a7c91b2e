"""The protocol's own clients, unmodified, in every mode that they have."""

import asyncio
import gc
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import onnx
import pytest
import tritonclient.http
import tritonclient.http.aio
from httpx import HTTPStatusError
from kserve import InferenceRESTClient, RESTConfig
from kserve import InferInput as KServeInput
from kserve import InferRequest as KServeRequest
from kserve.protocol.infer_type import RequestedOutput as KServeOutput
from ml_dtypes import bfloat16
from onnx.reference import ReferenceEvaluator
from tritonclient.http import InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

from models.datatypes import DATATYPES, Datatype, to_numpy
from models.repository.repository import Repository
from tests.bundles import echo_bundle, text_bundle, tiny_bundle
from tests.end_to_end.conftest import Process, running

ROWS = np.random.default_rng(0).normal(scale=3, size=(5, 4)).astype(np.float32)

VALUES: dict[Datatype, Any] = {
    **{name: np.array([[1, 0], [0, 1], [1, 1]], to_numpy(name)) for name in DATATYPES},
    "INT64": np.array([[2**53 + 1, -(2**63)]], np.int64),
    "FP16": np.array([[65504, 6e-8]], np.float16),
    "BF16": np.array([[0.1, 3e38]], bfloat16),
    "FP64": np.array([[0.1, 5e-324]]),
    "BYTES": np.array([["", "é\n"], ["\U0001f600", '"']], object),
}
EMPTY = {name: values[:0] for name, values in VALUES.items()}

_TENSORS = "({0}[N, 16] INPUT0, {0}[N, 16] INPUT1) => ({0}[N, 16] OUTPUT0, {0}[N, 16] OUTPUT1)"
SIMPLE = {
    "simple": f"{_TENSORS.format('int32')} {{ OUTPUT0 = Add(INPUT0, INPUT1) OUTPUT1 = Sub(INPUT0, INPUT1) }}",
    "simple_string": f"{_TENSORS.format('string')} {{ a = Cast <to = 6> (INPUT0) b = Cast <to = 6> (INPUT1) "
    "sum = Add(a, b) difference = Sub(a, b) OUTPUT0 = Cast <to = 8> (sum) OUTPUT1 = Cast <to = 8> (difference) }",
}
"""Models of Triton's examples: the sum and the difference of numbers, or of numbers as text."""


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory):
    root: Path = tmp_path_factory.mktemp("clients") / "repository"
    repository = Repository(root)
    for bundle in (tiny_bundle(), *map(echo_bundle, DATATYPES), *(text_bundle(*model) for model in SIMPLE.items())):
        repository.publish(bundle)
    gc.freeze()  # `AsyncioClient` collects garbage after each call: of what it has made, not of all that there is
    with running(root) as process:
        yield process
    gc.unfreeze()


class AsyncioClient:
    """tritonclient's asyncio client with the methods of the other one, each call in a loop of its own."""

    def __init__(self, address: str) -> None:
        self._address = address

    def __getattr__(self, name: str) -> Callable[..., Any]:
        async def call(*arguments: Any, **options: Any) -> Any:
            async with tritonclient.http.aio.InferenceServerClient(self._address) as client:
                return await getattr(client, name)(*arguments, **options)

        def run(*arguments: Any, **options: Any) -> Any:
            # But for inference the client lets go of answers unread; that is found out here, not in another test.
            with warnings.catch_warnings(action="ignore", category=ResourceWarning):
                try:
                    return asyncio.run(call(*arguments, **options))
                finally:
                    if name != "infer":
                        gc.collect()

        return run


@pytest.fixture(params=["gevent", "asyncio"])
def triton(process: Process, request: pytest.FixtureRequest):
    address = process.url.removeprefix("http://")
    if request.param == "asyncio":
        yield AsyncioClient(address)
        return
    with tritonclient.http.InferenceServerClient(address) as client:
        yield client


def expected() -> np.ndarray:
    return ReferenceEvaluator(onnx.load_from_string(tiny_bundle().source)).run(None, {"input": ROWS})[0]


def close(got: np.ndarray) -> bool:
    return got.shape == (5, 2) and np.allclose(got, expected(), rtol=1e-5, atol=1e-6)


def test_the_comparison_can_fail() -> None:
    assert not close(expected() + 1e-4)
    assert not close(np.zeros((5, 2)))


def triton_input(values: np.ndarray = ROWS, datatype: Datatype = "FP32", *, binary: bool = True) -> InferInput:
    tensor = InferInput("input", list(values.shape), datatype)
    tensor.set_data_from_numpy(values, binary_data=binary)
    return tensor


def same(got: np.ndarray, sent: np.ndarray) -> bool:
    """Bit by bit; tritonclient gives text back as bytes where it came so."""
    if sent.dtype == object:
        decoded = [text.decode() if isinstance(text, bytes) else text for text in got.reshape(-1)]
        return got.shape == sent.shape and decoded == sent.reshape(-1).tolist()
    return got.dtype == sent.dtype and got.shape == sent.shape and got.tobytes() == sent.tobytes()


class TestTriton:
    """tritonclient.http and tritonclient.http.aio."""

    @pytest.mark.parametrize("binary_in", [True, False])
    @pytest.mark.parametrize("binary_out", [True, False, None])
    def test_predicts(self, triton, binary_in: bool, binary_out: bool | None) -> None:
        outputs = None if binary_out is None else [InferRequestedOutput("logits", binary_data=binary_out)]

        result = triton.infer("tiny", [triton_input(binary=binary_in)], outputs=outputs, request_id="7")

        assert close(result.as_numpy("logits"))
        assert result.get_response()["id"] == "7"
        assert ("parameters" in result.get_output("logits")) == (binary_out is not False)

    @pytest.mark.parametrize("binary_out", [True, False])
    @pytest.mark.parametrize("values", [VALUES, EMPTY], ids=["rows", "no rows"])
    @pytest.mark.parametrize(
        ("datatype", "binary_in"),
        # The client itself refuses to send BF16 in JSON.
        [(name, binary) for name in DATATYPES for binary in (True, False) if binary or name != "BF16"],
    )
    def test_sends_and_gets_every_datatype(
        self, triton, datatype: Datatype, values: dict[Datatype, np.ndarray], binary_in: bool, binary_out: bool
    ) -> None:
        sent = values[datatype]

        result = triton.infer(
            datatype.lower(),
            [triton_input(sent, datatype, binary=binary_in)],
            outputs=[InferRequestedOutput("logits", binary_data=binary_out)],
        )

        assert same(result.as_numpy("logits"), sent)

    @pytest.mark.parametrize("request_packed", ["gzip", "deflate", None])
    @pytest.mark.parametrize("response_packed", ["gzip", "deflate", None])
    @pytest.mark.parametrize("binary", [True, False])
    def test_predicts_compressed(
        self, triton, request_packed: str | None, response_packed: str | None, binary: bool
    ) -> None:
        rows = np.tile(VALUES["INT64"], (200, 1))  # answers this long are compressed

        result = triton.infer(
            "int64",
            [triton_input(rows, "INT64", binary=binary)],
            outputs=[InferRequestedOutput("logits", binary_data=binary)],
            request_compression_algorithm=request_packed,
            response_compression_algorithm=response_packed,
        )

        assert same(result.as_numpy("logits"), rows)

    def test_predicts_with_all_that_a_request_can_say(self, triton) -> None:
        result = triton.infer(
            "tiny",
            [triton_input()],
            model_version="1",
            request_id="a b\n",
            sequence_id=7,
            sequence_start=True,
            sequence_end=True,
            priority=1,
            timeout=60_000_000,
            headers={"X-Request-ID": "mine"},
            query_params={"ignored": "1"},
            parameters={"mine": "x", "number": 1.5, "switch": True},
        )

        assert close(result.as_numpy("logits"))
        response = result.get_response()
        assert (response["model_name"], response["model_version"], response["id"]) == ("tiny", "1", "a b\n")

    @pytest.mark.parametrize("model", SIMPLE)
    def test_calls_what_its_examples_call(self, triton, model: str) -> None:
        kind = object if model == "simple_string" else np.int32
        one, two = np.arange(16, dtype=np.int32)[None], np.full((1, 16), -1, np.int32)
        tensors = []
        for name, values, binary in (("INPUT0", one, False), ("INPUT1", two, True)):
            tensor = InferInput(name, [1, 16], "BYTES" if kind is object else "INT32")
            tensor.set_data_from_numpy(values.astype(str).astype(object) if kind is object else values, binary)
            tensors.append(tensor)
        wanted = [InferRequestedOutput("OUTPUT0", binary_data=True), InferRequestedOutput("OUTPUT1", binary_data=False)]

        for outputs in (wanted, None):
            result = triton.infer(model, tensors, outputs=outputs, query_params={"test_1": 1, "test_2": 2})

            assert (result.as_numpy("OUTPUT0").astype(np.int32) == one + two).all()
            assert (result.as_numpy("OUTPUT1").astype(np.int32) == one - two).all()
        assert len(triton.get_inference_statistics(model)["model_stats"]) == 1
        assert triton.get_model_metadata(model, query_params={"test_1": 1, "test_2": 2})["name"] == model
        assert triton.is_server_live(query_params={"test_1": 1, "test_2": 2})
        with pytest.raises(InferenceServerException, match="Request for unknown model"):
            triton.infer("wrong_model_name", tensors)

    @pytest.mark.parametrize("binary", [True, False])
    @pytest.mark.parametrize("count", [1, 2, 9])
    def test_reads_classes(self, triton, binary: bool, count: int) -> None:
        wanted = [InferRequestedOutput("logits", binary_data=binary, class_count=count)]

        texts = triton.infer("tiny", [triton_input()], outputs=wanted).as_numpy("logits")

        assert texts.shape == (5, min(count, 2))
        for text, row in zip(texts[:, 0], expected(), strict=True):
            score, index, label = (text.decode() if isinstance(text, bytes) else text).split(":")
            assert float(score) == pytest.approx(row.max(), rel=1e-5)
            assert (int(index), label) == (row.argmax(), ("no", "yes")[row.argmax()])

    def test_builds_and_reads_bodies_by_itself(self, process: Process, triton) -> None:
        """What the clients offer to those who send requests by other means."""
        body, json_length = tritonclient.http.InferenceServerClient.generate_request_body([triton_input()])
        response = httpx2.post(
            f"{process.url}/v2/models/tiny/infer",
            content=body,
            headers={"Inference-Header-Content-Length": str(json_length)},
        )
        result = tritonclient.http.InferenceServerClient.parse_response_body(
            response.content, header_length=int(response.headers["Inference-Header-Content-Length"])
        )

        assert close(result.as_numpy("logits"))
        raw = httpx2.post(
            f"{process.url}/v2/models/tiny/infer",
            content=ROWS.tobytes(),
            headers={"Inference-Header-Content-Length": "0"},
        )
        length = int(raw.headers["Inference-Header-Content-Length"])
        parsed = tritonclient.http.InferenceServerClient.parse_response_body(raw.content, header_length=length)
        assert close(parsed.as_numpy("logits"))
        assert triton.is_server_live()

    def test_reads_health_and_metadata(self, triton) -> None:
        assert triton.is_server_live()
        assert triton.is_server_ready()
        assert triton.is_model_ready("tiny")
        assert triton.is_model_ready("tiny", "1")
        assert not triton.is_model_ready("tiny", "2")
        assert not triton.is_model_ready("nobody")
        server = triton.get_server_metadata()
        assert server["name"] == "denge"
        assert set(server["extensions"]) >= {
            "binary_tensor_data",
            "classification",
            "statistics",
            "model_configuration",
        }
        metadata = triton.get_model_metadata("tiny", model_version="1")
        assert metadata["inputs"] == [{"name": "input", "datatype": "FP32", "shape": [-1, 4]}]
        assert triton.get_model_metadata("bytes")["outputs"][0]["datatype"] == "BYTES"

    def test_reads_statistics(self, triton) -> None:
        def rows_served() -> int:
            (model,) = triton.get_inference_statistics("tiny", "1")["model_stats"]
            return model["inference_count"]

        before = rows_served()
        triton.infer("tiny", [triton_input()])

        assert rows_served() == before + 5
        everything = triton.get_inference_statistics()["model_stats"]
        assert {model["name"] for model in everything} >= {"tiny", *map(str.lower, DATATYPES)}

    def test_reads_configurations(self, triton) -> None:
        configuration = triton.get_model_config("tiny", "1")

        assert configuration["input"][0]["dims"] == [4]
        assert configuration["max_batch_size"] == 32
        assert triton.get_model_config("bytes")["input"][0]["data_type"] == "TYPE_STRING"

    def test_manages_the_repository(self, triton) -> None:
        ready = {"name": "tiny", "version": "1", "state": "READY", "reason": ""}

        assert ready in triton.get_model_repository_index()
        triton.unload_model("tiny", unload_dependents=False)
        assert not triton.is_model_ready("tiny")
        assert ready not in triton.get_model_repository_index()
        with pytest.raises(InferenceServerException, match="not ready"):
            triton.infer("tiny", [triton_input()])
        triton.load_model("tiny")
        assert ready in triton.get_model_repository_index()

    def test_cannot_send_models_or_configurations(self, triton) -> None:
        with pytest.raises(InferenceServerException, match="parameters: "):
            triton.load_model("tiny", config="{}")
        with pytest.raises(InferenceServerException, match="parameters: "):
            triton.load_model("tiny", config="{}", files={"file:1/model.onnx": b"x"})
        assert triton.is_model_ready("tiny")

    def test_shows_the_servers_errors(self, triton) -> None:
        with pytest.raises(InferenceServerException, match=r"inputs\[0\].shape"):
            triton.infer("tiny", [triton_input(ROWS[:, :3].copy())])
        with pytest.raises(InferenceServerException, match="unknown model: 'nobody'"):
            triton.infer("nobody", [triton_input()])
        with pytest.raises(InferenceServerException, match=r"inputs\[0\].data\[3\]: got nan"):
            triton.infer("tiny", [triton_input(np.full_like(ROWS, [1, 2, 3, np.nan]))])
        with pytest.raises(InferenceServerException, match="outputs"):
            triton.infer("tiny", [triton_input()], outputs=[InferRequestedOutput("nothing")])

    @pytest.mark.parametrize(
        ("method", "arguments"),
        [
            ("get_trace_settings", ()),
            ("update_trace_settings", ()),
            ("get_log_settings", ()),
            ("update_log_settings", ({"log_file": "/tmp/x"},)),
            ("get_system_shared_memory_status", ()),
            ("register_system_shared_memory", ("r", "/k", 8)),
            ("unregister_system_shared_memory", ()),
            ("get_cuda_shared_memory_status", ()),
            ("unregister_cuda_shared_memory", ()),
        ],
    )
    def test_is_told_clearly_what_is_not_offered(self, triton, method: str, arguments: tuple[Any, ...]) -> None:
        with pytest.raises(InferenceServerException, match="this service does not have the extension"):
            getattr(triton, method)(*arguments)


def test_triton_client_predicts_many_at_a_time(process: Process) -> None:
    address = process.url.removeprefix("http://")
    with tritonclient.http.InferenceServerClient(address, concurrency=4) as client:
        pending = [client.async_infer("tiny", [triton_input()], request_id=str(n)) for n in range(20)]
        results = [each.get_result() for each in pending]

    assert all(close(result.as_numpy("logits")) for result in results)
    assert [result.get_response()["id"] for result in results] == [str(n) for n in range(20)]


class TestKServe:
    """KServe's InferenceRESTClient."""

    @staticmethod
    def call(process: Process, method: str, *arguments: Any, protocol: str = "v2", **options: Any) -> Any:
        async def call() -> Any:
            async with InferenceRESTClient(RESTConfig(protocol=protocol)) as client:
                return await getattr(client, method)(process.url, *arguments, **options)

        return asyncio.run(call())

    def infer(
        self,
        process: Process,
        values: np.ndarray,
        datatype: Datatype,
        model: str,
        *,
        binary: bool,
        headers: dict[str, str] | None = None,
        **options: Any,
    ) -> Any:
        tensor = KServeInput("input", list(values.shape), datatype)
        tensor.set_data_from_numpy(values, binary_data=binary)
        request = KServeRequest(model_name=model, infer_inputs=[tensor], **options)
        return self.call(process, "infer", request, model_name=model, response_headers=headers)

    @pytest.mark.parametrize("binary_in", [True, False])
    @pytest.mark.parametrize("binary_out", [True, False, None])
    def test_predicts(self, process: Process, binary_in: bool, binary_out: bool | None) -> None:
        outputs = None if binary_out is None else [KServeOutput("logits", {"binary_data": binary_out})]
        headers: dict[str, str] = {}

        response = self.infer(
            process,
            ROWS,
            "FP32",
            "tiny",
            binary=binary_in,
            headers=headers,
            request_id="7",
            request_outputs=outputs,
        )

        assert close(response.outputs[0].as_numpy())
        assert (response.id, response.model_name) == ("7", "tiny")
        assert ("inference-header-content-length" in headers) == (binary_out is True)

    def test_predicts_with_binary_outputs_by_default(self, process: Process) -> None:
        headers: dict[str, str] = {}
        wanted = {"binary_data_output": True}

        response = self.infer(process, ROWS, "FP32", "tiny", binary=True, headers=headers, parameters=wanted)

        assert "inference-header-content-length" in headers
        assert close(response.outputs[0].as_numpy())

    @pytest.mark.parametrize("values", [VALUES, EMPTY], ids=["rows", "no rows"])
    @pytest.mark.parametrize(
        ("datatype", "binary"),
        # The client does not know BF16, and itself refuses to send FP16 in JSON.
        [
            (name, binary)
            for name in DATATYPES
            if name != "BF16"
            for binary in (True, False)
            if binary or name != "FP16"
        ],
    )
    def test_sends_and_gets_every_datatype_that_it_has(
        self, process: Process, datatype: Datatype, values: dict[Datatype, np.ndarray], binary: bool
    ) -> None:
        sent = values[datatype]
        wanted = [KServeOutput("logits", {"binary_data": binary})]

        response = self.infer(process, sent, datatype, datatype.lower(), binary=binary, request_outputs=wanted)

        assert same(response.outputs[0].as_numpy(), sent)

    def test_predicts_from_plain_objects(self, process: Process) -> None:
        tensor = {"name": "input", "datatype": "FP32", "shape": [5, 4], "data": ROWS.tolist()}
        headers: dict[str, str] = {}

        response = self.call(
            process, "infer", {"inputs": [tensor]}, model_name="tiny", response_headers=headers, timeout=60.0
        )

        assert close(response.outputs[0].as_numpy())
        assert headers["content-type"] == "application/json"

    def test_predicts_from_a_whole_address(self, process: Process) -> None:
        async def infer() -> Any:
            tensor = {"name": "input", "datatype": "FP32", "shape": [5, 4], "data": ROWS.tolist()}
            async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
                url = f"{process.url}/v2/models/tiny/versions/1/infer"
                return await client.infer(url, {"inputs": [tensor]}, is_graph_endpoint=True)

        output = asyncio.run(infer())["outputs"][0]
        assert close(np.array(output["data"]).reshape(output["shape"]))

    def test_predicts_from_rows(self, process: Process) -> None:
        answer = self.call(process, "infer", {"instances": ROWS.tolist()}, model_name="tiny", protocol="v1")

        assert close(np.array(answer["predictions"]))

    @pytest.mark.parametrize("protocol", ["v1", "v2"])
    def test_asks_for_a_models_readiness(self, process: Process, protocol: str) -> None:
        assert self.call(process, "is_model_ready", "tiny", protocol=protocol) is True
        if protocol == "v2":
            assert self.call(process, "is_model_ready", "nobody") is False
        else:
            with pytest.raises(HTTPStatusError, match="unknown model"):
                self.call(process, "is_model_ready", "nobody", protocol=protocol)

    def test_reads_health(self, process: Process) -> None:
        assert self.call(process, "is_server_live") is True
        assert self.call(process, "is_server_live", protocol="v1") is True
        assert self.call(process, "is_server_ready") is True

    def test_shows_the_servers_errors(self, process: Process) -> None:
        with pytest.raises(HTTPStatusError, match=r"inputs\[0\].shape"):
            self.infer(process, ROWS[:, :3].copy(), "FP32", "tiny", binary=True)
        with pytest.raises(HTTPStatusError, match="unknown model: 'nobody'"):
            self.infer(process, ROWS, "FP32", "nobody", binary=True)

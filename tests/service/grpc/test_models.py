"""What is told of models is what HTTP tells."""

from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict

from service.grpc.messages import pool
from tests.service.grpc.conftest import Serving


def as_json(message: Any) -> Any:
    return MessageToDict(message, preserving_proto_field_name=True, descriptor_pool=pool)


def test_the_server_is_live_and_ready_until_it_stops(own: Serving) -> None:
    assert own.grpc.call("ServerLive").live
    assert own.grpc.call("ServerReady").ready

    own.lifecycle.stopping = True

    assert own.grpc.call("ServerLive").live
    assert not own.grpc.call("ServerReady").ready
    assert not own.grpc.ask("ModelReady", name="tiny").ready


def test_metadata_is_that_of_http(shared: Serving) -> None:
    server, model = shared.grpc.call("ServerMetadata"), shared.grpc.ask("ModelMetadata", name="tiny", version="1")

    assert as_json(server) == shared.http.get("/v2").json()
    theirs = shared.http.get("/v2/models/tiny").json()
    assert (model.name, list(model.versions), model.platform) == ("tiny", ["1"], theirs["platform"])
    assert [(spec.name, spec.datatype, list(spec.shape)) for spec in model.inputs] == [
        (spec["name"], spec["datatype"], spec["shape"]) for spec in theirs["inputs"]
    ]


def test_the_configuration_is_that_of_http(shared: Serving) -> None:
    config = shared.grpc.ask("ModelConfig", name="tiny").config
    theirs = shared.http.get("/v2/models/tiny/config").json()

    assert (config.name, config.backend, config.max_batch_size) == ("tiny", "onnxruntime", theirs["max_batch_size"])
    assert as_json(config)["input"][0]["data_type"] == theirs["input"][0]["data_type"] == "TYPE_FP32"
    assert list(config.input[0].dims) == theirs["input"][0]["dims"]


def test_statistics_of_one_version_of_a_model_and_of_all(shared: Serving) -> None:
    for fields, names in (({"name": "tiny", "version": "1"}, ["tiny"]), ({}, ["shapes", "tiny"])):
        stats = shared.grpc.ask("ModelStatistics", **fields).model_stats
        assert sorted(one.name for one in stats) == names


def test_a_model_is_ready_while_it_is_loaded(own: Serving) -> None:
    def ready() -> bool:
        return bool(own.grpc.ask("ModelReady", name="tiny", version="1").ready)

    before = ready()
    own.grpc.ask("RepositoryModelUnload", model_name="tiny")
    unloaded = ready()
    own.grpc.ask("RepositoryModelLoad", model_name="tiny")

    assert (before, unloaded, ready()) == (True, False, True)


@pytest.mark.parametrize("method", ["ModelReady", "ModelMetadata", "ModelConfig", "ModelStatistics"])
def test_what_does_not_exist_is_not_found(shared: Serving, method: str) -> None:
    for fields in ({"name": "other"}, {"name": "tiny", "version": "9"}):
        with pytest.raises(grpc.RpcError) as failed:
            shared.grpc.ask(method, **fields)
        assert failed.value.code() == grpc.StatusCode.NOT_FOUND
    with pytest.raises(grpc.RpcError) as failed:
        shared.grpc.ask(method, name="tiny", version="first")
    assert failed.value.code() == grpc.StatusCode.INVALID_ARGUMENT

"""The repository over gRPC."""

from typing import Any

import grpc
import pytest

from service.grpc.messages import message_class
from tests.service.grpc.conftest import Serving


def names(serving: Serving, **fields: Any) -> list[tuple[str, str, str]]:
    index = serving.grpc.ask("RepositoryIndex", **fields)
    return [(one.name, one.version, one.state) for one in index.models]


def test_the_index_has_what_is_loaded_and_what_is_not(own: Serving) -> None:
    assert names(own) == [("shapes", "1", "READY"), ("tiny", "1", "READY")]

    own.grpc.ask("RepositoryModelUnload", model_name="tiny")

    assert names(own) == [("shapes", "1", "READY"), ("tiny", "1", "UNAVAILABLE")]
    assert names(own, ready=True) == [("shapes", "1", "READY")]


@pytest.mark.parametrize("method", ["RepositoryModelLoad", "RepositoryModelUnload"])
def test_an_unknown_model_is_not_found(shared: Serving, method: str) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        shared.grpc.ask(method, model_name="other")

    assert failed.value.code() == grpc.StatusCode.NOT_FOUND


def test_no_configuration_no_file_and_no_other_repository_is_taken(shared: Serving) -> None:
    load = message_class("RepositoryModelLoadRequest")(model_name="tiny")
    load.parameters["config"].string_param = "{}"
    for request, field in (
        (load, "parameters"),
        (message_class("RepositoryModelLoadRequest")(model_name="tiny", repository_name="x"), "repository_name"),
    ):
        with pytest.raises(grpc.RpcError) as failed:
            shared.grpc.call("RepositoryModelLoad", request)
        assert failed.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert failed.value.details().startswith(f"{field}: ")

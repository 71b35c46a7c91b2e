"""True classes of rows that were predicted: they give the accuracy, and the error of its estimate."""

from typing import Annotated

from fastapi import APIRouter, Body, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from service.catalog.catalog import Catalog
from service.http.access import PREDICT, PUBLIC
from service.replicas.peers import Peers
from service.routes.openapi import api_router, error_responses
from service.routes.parameters import ModelName
from service.watching.labels.labels import MAX_REQUESTS, LabelledRequest, LabelReport
from service.watching.labels.shared_labels import LABELS_PATH, SharedLabels


class LabelsRequest(BaseModel):
    """True classes of the rows of some requests."""

    model_config = ConfigDict(extra="forbid", strict=True)

    labels: list[LabelledRequest] = Field(min_length=1, max_length=MAX_REQUESTS)


def router(catalog: Catalog, labels: SharedLabels, peers: Peers) -> APIRouter:
    """Labels of answered requests.

    Args:
        catalog: the models.
        labels: for the requests that any replica has answered.
        peers: recognises requests of other replicas.
    """
    routes = api_router("watch")

    @routes.post(
        "/v2/models/{model}/labels",
        summary="Send true classes",
        dependencies=[PREDICT],
        responses=error_responses(400, 401, 404, 503),
    )
    async def send_labels(
        model: ModelName,
        request: Annotated[
            LabelsRequest,
            Body(openapi_examples={"example": {"value": {"labels": [{"id": "my-request-1", "classes": [7]}]}}}),
        ],
    ) -> LabelReport:
        """Send the true classes of rows that were predicted before, by the ids that their requests carried.

        They give the `true_accuracy` in the drift report and its history, by the time of the predictions, and the
        error of the estimate. Labels of a request count once, so a call may be repeated.
        """
        catalog.get(model)
        return await labels.apply(model, request.labels)

    @routes.post(f"{LABELS_PATH}{{model}}", include_in_schema=False, dependencies=[PUBLIC])
    async def take_labels(model: str, request: Request) -> Response:
        """Take labels that another replica was sent."""
        await peers.require_peer(request.headers)
        return Response(labels.take(model, await request.body()), media_type="application/json")

    return routes

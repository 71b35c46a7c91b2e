"""What the token of a request permits, so that a client can show it before it tries."""

from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from models.errors import Forbidden, Unauthenticated
from service.access import Guard
from service.http.access import PUBLIC
from service.http.scopes import client_address
from service.routes.openapi import api_router


class Permissions(BaseModel):
    """What a request with this token may do."""

    token: Literal["admin", "api_key", "unknown"] | None = Field(
        description="Whose it is; `unknown` is neither the admin token nor an API key. Null without one."
    )
    may_predict: bool = Field(description="Predictions, and batch normalisation of the request's own data.")
    may_change: bool = Field(description="Everything that changes what is served.")


def router(guard: Guard) -> APIRouter:
    """What the token of a request permits."""
    routes = api_router("health", PUBLIC)

    @routes.get("/v2/access", summary="What a token permits")
    async def get_access(request: Request) -> Permissions:
        """Whether a request with this token, or without one, may predict, and may change what is served."""
        headers = request.scope["headers"]
        try:
            guard.authenticate(headers, client_address(request.scope))
            may_predict = True
        except Unauthenticated:
            may_predict = False
        try:
            guard.require_admin(headers)
            may_change = True
        except (Unauthenticated, Forbidden):
            may_change = False
        return Permissions(token=guard.token_kind(headers), may_predict=may_predict, may_change=may_change)

    return routes

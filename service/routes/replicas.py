"""The replicas of the service, and the store that they share."""

import asyncio
from datetime import datetime
from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from service.host.clock import to_date
from service.http.access import PUBLIC
from service.recalibrating.jobs import Recalibrations
from service.recalibrating.shared_collections import ROWS_PATH
from service.replicas.group_statistics import STATISTICS_PATH, GroupStatistics
from service.replicas.member import Member
from service.replicas.membership import Membership
from service.replicas.peers import Peers
from service.replicas.store import StoreUnavailable
from service.routes.openapi import api_router, error_responses


class Replica(BaseModel):
    """A replica that is alive."""

    id: str
    version: str = Field(description="Of the program.")
    since: datetime = Field(description="When its process started.")
    state: Literal["starting", "ready"] = Field(description="Whether it serves already.")
    requests: int = Field(description="That it has answered, a few seconds ago at most.")
    catalog_revision: int = Field(description="Of what it serves: the same for all replicas, when all agree.")
    is_this: bool = Field(description="Whether it has answered this request.")

    @classmethod
    def of(cls, member: Member, this: str) -> "Replica":
        """The response's form of a member."""
        return cls(
            id=member.id,
            version=member.version,
            since=member.started,
            state=member.state,
            requests=member.requests,
            catalog_revision=member.catalog,
            is_this=member.id == this,
        )


class StoreState(BaseModel):
    """What the replicas share besides the repository."""

    name: str
    available: bool = Field(description="Whether it answers. Predictions go on without it; changes do not.")
    unavailable_since: datetime | None = Field(description="Null while it answers.")

    @classmethod
    def of(cls, membership: Membership) -> "StoreState":
        """The state as this replica has seen it last."""
        since = membership.unavailable_since
        return cls(
            name=membership.store.name,
            available=membership.is_available,
            unavailable_since=None if since is None else to_date(since),
        )


class ReplicaList(BaseModel):
    """The live replicas, the longest running first."""

    replicas: list[Replica] = Field(description="Only the one that answers, while the store does not.")
    store: StoreState


def router(
    membership: Membership, peers: Peers, recalibrations: Recalibrations, statistics: GroupStatistics
) -> APIRouter:
    """The replicas.

    Args:
        membership: of this replica.
        peers: recognises requests of other replicas.
        recalibrations: has the rows that other replicas ask for.
        statistics: of this replica.
    """
    routes = api_router("health", PUBLIC)

    @routes.get("/v2/replicas", summary="Replicas", responses=error_responses())
    async def list_replicas() -> ReplicaList:
        """The replicas that serve together, what each of them serves, and the state of the store that they share."""
        try:
            members = await membership.members()
        except StoreUnavailable:
            members = [membership.member]
        return ReplicaList(
            replicas=[Replica.of(member, membership.id) for member in members], store=StoreState.of(membership)
        )

    @routes.get(f"{ROWS_PATH}{{job}}", include_in_schema=False)
    async def get_collected_rows(job: str, request: Request) -> Response:
        """The rows that this replica has collected for a job, for the replica that carries it out."""
        await peers.require_peer(request.headers)
        return Response(await asyncio.to_thread(recalibrations.sample, job), media_type="application/octet-stream")

    @routes.get(STATISTICS_PATH, include_in_schema=False)
    async def get_replica_statistics(request: Request) -> Response:
        """The statistics of this replica alone, for one that shares its port."""
        await peers.require_peer(request.headers)
        return Response(statistics.own(), media_type="application/json")

    return routes

"""Leases of jobs in the store that replicas share: one replica at a time carries out a job."""

import asyncio
from collections.abc import Callable

from service.replicas.membership import Membership

LEASE_SECONDS = 20.0
"""After the death of the replica that carries out a job, another one does."""
HELD_SECONDS = 15.0
"""A replica that cannot renew a job's lease for so long leaves the job, before another one can take it over."""


class JobLeases:
    """The leases that this replica takes and renews.

    Args:
        membership: of this replica.
        on_expired: called with a job whose lease was not renewed in time.
    """

    def __init__(self, membership: Membership, on_expired: Callable[[str], object]) -> None:
        self._membership = membership
        self._on_expired = on_expired
        self._expiries: dict[str, asyncio.TimerHandle] = {}

    async def take(self, job_id: str) -> bool:
        """Take or renew the lease of a job. Returns whether this replica has it.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        loop = asyncio.get_running_loop()
        ends = loop.time() + HELD_SECONDS  # the store counts from when it is asked, or later
        lease = self._membership.store.lease(f"job/{job_id}", self._membership.id, LEASE_SECONDS)
        if has_lease := bool(await self._membership.observe(lease)):
            if (expiry := self._expiries.get(job_id)) is not None:
                expiry.cancel()
            self._expiries[job_id] = loop.call_at(ends, self._expire, job_id)
        return has_lease

    async def release(self, job_id: str) -> None:
        """Let another replica have the lease of a job.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        await self._membership.store.release(f"job/{job_id}", self._membership.id)

    def _expire(self, job_id: str) -> None:
        del self._expiries[job_id]
        self._on_expired(job_id)

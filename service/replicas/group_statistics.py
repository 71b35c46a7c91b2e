"""The sum of the statistics of replicas that share a port, so that any of them answers for all.

Replicas with a port of their own are asked one by one: Prometheus adds them up.
"""

import asyncio
from collections.abc import Callable, Iterable

from models.errors import NotReady
from service.replicas.member import Member
from service.replicas.membership import Membership
from service.replicas.peers import Peers
from service.replicas.store import StoreUnavailable
from service.replicas.values import pack, unpack
from service.telemetry.statistics import ServiceStatistics

SCHEMA = 1
STATISTICS_PATH = "/v2/replicas/statistics"
ANSWER_SECONDS = 2.0
"""After this time, the last known statistics of a replica are used."""
_KEPT_SECONDS = 7 * 86_400.0


class GroupStatistics:
    """Adds up the statistics of a group.

    Args:
        membership: of this replica.
        peers: the other replicas.
        group: id of the group; empty for a replica with a port of its own.
        own: returns the statistics of this replica.
    """

    def __init__(self, membership: Membership, peers: Peers, group: str, own: Callable[[], ServiceStatistics]) -> None:
        self._membership = membership
        self._peers = peers
        self._group = group
        self._own = own
        self._known: dict[str, bytes] = {}
        if group:
            membership.watch("statistics", self.write)

    def own(self) -> bytes:
        """Returns the statistics of this replica, for another one."""
        return self._own().to_json()

    async def gather(self) -> ServiceStatistics:
        """Returns the statistics of all replicas of the group, those that have died included.

        Of one that was killed, what it has counted since it last wrote is lost; but no count ever falls.
        """
        if not self._group:
            return self._own()
        total = ServiceStatistics()
        total.merge(self._own())
        others: Iterable[Member] = ()
        try:
            members = await self._membership.members()
            others = [each for each in members if each.group == self._group and each.id != self._membership.id]
            await self._read()
        except StoreUnavailable:
            pass  # what is known of the others stands
        answered = await asyncio.gather(*(self._ask(member) for member in others))
        live = {member.id for member, answers in zip(others, answered, strict=True) if answers}
        for replica, known in self._known.items():
            if replica == self._membership.id:
                continue
            part = ServiceStatistics.from_json(known)
            if replica not in live:
                for version in part.versions.values():
                    version.pending = 0
            total.merge(part)
        return total

    async def write(self) -> None:
        """Write the statistics of this replica to the store, in case it dies.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        key = f"statistics/{self._group}/{self._membership.id}"
        await self._membership.store.put(key, pack(SCHEMA, self.own()), _KEPT_SECONDS)

    async def _read(self) -> None:
        prefix = f"statistics/{self._group}/"
        for key, value in (await self._membership.observe(self._membership.store.get_many(prefix))).items():
            if (payload := unpack(SCHEMA, value)) is not None:
                # What a replica has written may be older or newer than what it has answered last.
                replica = key.removeprefix(prefix)
                self._known[replica] = max(payload, self._known.get(replica, payload), key=_count_all)

    async def _ask(self, member: Member) -> bool:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                self._known[member.id] = await self._peers.get(member, STATISTICS_PATH)
        except (NotReady, TimeoutError):
            return False
        return True


def _count_all(statistics: bytes) -> int:
    """Returns what orders the statistics of one replica in time: how much it has counted."""
    found = ServiceStatistics.from_json(statistics)
    versions = found.versions.values()
    return sum(durations.count for durations in found.requests.values()) + sum(
        each.success.count + each.fail.count + each.effort.batches + each.effort.skipped for each in versions
    )

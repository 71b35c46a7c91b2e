"""Agreement of all replicas on what is served.

A replica that changes what is served changes it for itself, writes the new state of the whole catalog to the store, and
waits until every live replica serves that. Of two replicas that change at the same time, one is first; the other one
applies that change and then repeats its own.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Concatenate, ParamSpec, TypeVar

import structlog

from models.errors import NotReady
from service.catalog import snapshot
from service.catalog.catalog import Catalog
from service.catalog.snapshot import PublishedSnapshot
from service.errors import NotAgreed
from service.host.blocking_pool import BlockingPool
from service.replicas.membership import Membership
from service.replicas.store import StoreUnavailable, revision_of
from service.replicas.values import StoredModel

log = structlog.get_logger()

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

AGREEMENT_SECONDS = 30.0
"""How long a change waits for the other replicas."""
RETRY_SECONDS = 10.0
"""Before a replica tries once more to load what it could not."""

START_LEASE_SECONDS = 15.0
"""After the death of the replica that starts first, another one does."""
_START_LOOK_SECONDS = 0.1

_KEY = "catalog"
_TOPIC = "catalog"
_LOOK_SECONDS = 0.5
"""Between two looks at the members, if none announces anything."""


class WantedCatalog(StoredModel):
    """What all replicas are to serve.

    Attributes:
        revision: counts the changes.
        writer: id of the replica that made the last one.
        models: by name.
    """

    revision: int
    writer: str
    models: dict[str, PublishedSnapshot]


class Agreement:
    """Keeps the catalog of this replica as all replicas have agreed.

    Args:
        catalog: of this replica.
        membership: of this replica.
        pool: threads that change the catalog.
        seconds: how long a change waits for the other replicas.
        clock: seconds, never going back.
    """

    def __init__(
        self,
        catalog: Catalog,
        membership: Membership,
        pool: BlockingPool,
        seconds: float = AGREEMENT_SECONDS,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._catalog = catalog
        self._membership = membership
        self._pool = pool
        self._seconds = seconds
        self._clock = clock
        self._applied: bytes | None = None
        self._failed: tuple[bytes | None, float] = (None, 0.0)
        self._is_started = False
        self._changing = asyncio.Lock()
        membership.watch(_TOPIC, self._on_announcement)

    @property
    def revision(self) -> int:
        """The revision that this replica has applied; 0 before the first."""
        applied = WantedCatalog.from_value(self._applied)
        return 0 if applied is None else applied.revision

    async def start(self, load_all: Callable[[], Awaitable[None]]) -> None:
        """Serve what the replicas that run serve; where there are none, what the repository has.

        Args:
            load_all: loads what the repository has.
        """
        async with self._changing, self._first() as is_first:
            if is_first:
                await load_all()
                await self._create()
            with suppress(StoreUnavailable):
                await self._apply()
            with suppress(StoreUnavailable):  # where the others do not hear of it now, the next heartbeat says so
                await self._membership.update(state="ready", catalog=self.revision)
                await self._apply()  # a change that did not wait for this replica, since it was not ready
            self._is_started = True

    @asynccontextmanager
    async def _first(self) -> AsyncIterator[bool]:
        """Whether no replica serves yet. Of those that start together, one is the first; the others wait for it."""
        store, lease = self._membership.store, ("start", self._membership.id, START_LEASE_SECONDS)

        async def renew() -> None:
            while True:
                await asyncio.sleep(START_LEASE_SECONDS / 3)
                with suppress(StoreUnavailable):
                    await store.lease(*lease)

        try:
            while not (has_lease := await self._membership.observe(store.lease(*lease))):
                await self._membership.wait_for_change(_START_LOOK_SECONDS)
            others = [member for member in await self._membership.members() if member.state == "ready"]
            is_first = not others or WantedCatalog.from_value(await self._read()) is None
        except StoreUnavailable:  # models are served all the same
            has_lease, is_first = False, True
        renewing = asyncio.create_task(renew()) if has_lease and is_first else None
        if has_lease and not is_first:
            await self._end_start()
        try:
            yield is_first
        finally:
            if renewing is not None:
                renewing.cancel()
                await self._end_start()

    async def _end_start(self) -> None:
        with suppress(StoreUnavailable):
            await self._membership.store.release("start", self._membership.id)
            await self._membership.announce("members")

    async def run(
        self,
        what: str,
        function: Callable[Concatenate[str, Parameters], Result],
        model: str,
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> Result:
        """Change what is served of a model, here and on all other replicas.

        Args:
            what: is changed, for messages.
            function: changes the repository and the catalog.
            model: its first argument.
            args, kwargs: its other ones.

        Raises:
            StoreUnavailable: the store does not answer. Nothing has changed, or the others do not know of it yet.
            NotAgreed: some replicas have not applied the change in time.
            DengeError: the function's own.
        """
        async with self._changing:
            await self._apply()
            try:
                result = await self._pool.run(what, function, model, *args, **kwargs)
            finally:
                revision = await self._write(model)
        await self._wait(revision)
        return result

    async def apply(self) -> None:
        """Serve what all replicas have agreed on; where the store has lost that, write what is served here.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        async with self._changing:
            await self._apply()

    async def _on_announcement(self) -> None:
        if self._is_started:
            await self.apply()

    async def _apply(self) -> None:
        value = await self._read()
        wanted = WantedCatalog.from_value(value)
        if value is None or (wanted is not None and wanted.revision < self.revision):
            await self._restore(value)
            return
        if wanted is None or value == self._applied or (self._failed[0] == value and self._clock() < self._failed[1]):
            return
        try:
            await self._pool.run("apply the catalog", self._catalog.apply_snapshots, wanted.models)
        except NotReady as error:
            self._failed = value, self._clock() + RETRY_SECONDS
            log.error("catalog_not_applied", revision=wanted.revision, error=str(error))
            return
        await self._note_applied(value)

    async def _read(self) -> bytes | None:
        value: bytes | None = await self._membership.observe(self._membership.store.get(_KEY))
        return value

    async def _create(self) -> None:
        """Write what is served here, in place of what replicas that have ended have left."""
        models = snapshot.publish(self._catalog.snapshots)
        wanted = WantedCatalog(revision=1, writer=self._membership.id, models=models)
        try:
            found = await self._read()
            if former := WantedCatalog.from_value(found):
                wanted = wanted.model_copy(update={"revision": former.revision + 1})
            # Where another replica starts as well and was first, its catalog is applied.
            if await self._set(found, wanted):
                self._applied = wanted.to_value()
        except StoreUnavailable:
            self._applied = wanted.to_value()

    async def _restore(self, found: bytes | None) -> None:
        """Write what is applied here, in place of what the store has kept of it."""
        if (applied := WantedCatalog.from_value(self._applied)) and await self._set(found, applied):
            await self._membership.announce(_TOPIC)

    async def _write(self, model: str) -> int:
        """Write what is served here of a model to the store. Returns the revision that has it."""
        base = WantedCatalog.from_value(self._applied)
        while True:
            value = await self._read()
            found = WantedCatalog.from_value(value)
            if value is not None and found is None:
                raise NotReady("the catalog in the store is of another release: ask a replica of that release")
            known = {} if found is None else found.models
            if base is not None and base.models.get(model) != known.get(model) and self._catalog.is_wanted(model):
                # Another replica has changed this model meanwhile: the repository has both changes.
                await self._pool.run(f"load model '{model}'", self._catalog.refresh, model)
            served = snapshot.publish(self._catalog.snapshots)
            models = {**(known if found else served), **{name: served[name] for name in (model,) if name in served}}
            if found is not None and models == found.models:
                return found.revision
            revision = 1 + max(self.revision, 0 if found is None else found.revision)
            wanted = WantedCatalog(revision=revision, writer=self._membership.id, models=models)
            if await self._set(value, wanted):
                if value == self._applied:
                    await self._note_applied(wanted.to_value())
                else:
                    await self._apply()
                await self._membership.announce(_TOPIC)
                return revision
            base = found or wanted

    async def _set(self, found: bytes | None, wanted: WantedCatalog) -> bool:
        changing = self._membership.store.compare_and_set(_KEY, revision_of(found), wanted.to_value())
        is_set: bool = await self._membership.observe(changing)
        return is_set

    async def _note_applied(self, value: bytes) -> None:
        self._applied = value
        await self._membership.update(catalog=self.revision)

    async def _wait(self, revision: int) -> None:
        """Return when all live replicas that serve have applied a revision."""
        ends = self._clock() + self._seconds
        while pending := await self._pending(revision):
            if self._clock() >= ends:
                raise NotAgreed(pending)
            await self._membership.wait_for_change(_LOOK_SECONDS)

    async def _pending(self, revision: int) -> list[str]:
        members = await self._membership.members()
        return [member.id for member in members if member.state == "ready" and member.catalog < revision]

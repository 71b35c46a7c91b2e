"""Predictions, below every transport: bytes, headers and the client's identity in, an answer out.

A skin (HTTP, gRPC) makes a `Call` of what it knows before the body, and then goes through these steps:

    admitted = handler.admit(call)                             who may predict, and which version answers
    request = handler.decode(admitted, body)                   the body, checked, unless it is large
    answer = await handler.run(request, disconnected)          a short run on the event loop, a longer one in a thread

`await handler.answer(admitted, body, disconnected)` is all but the first. Without a task, `handler.prepare` puts
decoding off until the event loop has read all sockets, and `handler.submit(request, on_answer)` does short runs only.
Errors are those of `models.errors`.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import NamedTuple

from models.datatypes import Array
from service.access import Guard
from service.catalog.catalog import Catalog
from service.catalog.served_domains import ServedDomains
from service.catalog.served_version import ServedVersion
from service.host.codec_pool import CodecPool
from service.inference.batcher import Batcher
from service.inference.dialect import Answer, Call, Dialect, Query
from service.inference.domains import DomainRouter, RowVersions, describe_versions, join_rows, split_rows
from service.inference.queue import Outputs
from service.inference.scoring import Scorer
from service.inference.short_runs import Outcome
from service.wire.pieces import LARGE_BYTES

_REQUEST_ID = b"x-request-id"
ROW_VERSIONS = b"x-row-versions"
"""The header with how many rows each version has answered, where a model has domains."""

_JSON_BYTES_PER_BYTE = 4
"""Of what is written, and its parts, for each of an output."""

Disconnected = Callable[[], Awaitable[None]]
"""Returns when the client has disconnected."""

OnAnswer = Callable[[Answer | Exception | None], None]
"""Gets the answer to a request, or its error; None where its run has to be queued."""


class Admitted(NamedTuple):
    """A request that may be answered.

    Attributes:
        call: the request, without its body.
        dialect: in which it is written.
        served: the version that is to answer.
        client: the identity of who sent it.
        needs_priority: whether so many requests wait that only one with a priority gets a place.
        domains: versions that answer the rows which fit them; None where one version answers all.
    """

    call: Call
    dialect: Dialect
    served: ServedVersion
    client: str
    needs_priority: bool = False
    domains: ServedDomains | None = None


class Prediction(NamedTuple):
    """A request that has been decoded."""

    admitted: Admitted
    query: Query


class Undecoded(NamedTuple):
    """A request whose body is to be decoded in a thread.

    Attributes:
        admitted: the request without its body.
        body: of the request.
        memory: bytes that decoding it takes.
    """

    admitted: Admitted
    body: bytes
    memory: int


class Handler:
    """Answers predictions.

    Args:
        catalog: the versions that can answer.
        batcher: runs them.
        guard: knows the clients.
        scorer: scores rows by what the layers meet in them.
        router: chooses the version for each row of a model with domains.
        dialects: by name.
        codec_pool: decodes and encodes what is large.
        remember: called on the event loop with the id of each answered request that carried one, the version, the
            outputs, and the version for each row where there are several; it returns at once.

    Attributes:
        prepare: puts a call off until the event loop has read all sockets, as `Batcher.prepare`.
    """

    def __init__(
        self,
        catalog: Catalog,
        batcher: Batcher,
        guard: Guard,
        scorer: Scorer,
        router: DomainRouter,
        dialects: Mapping[str, Dialect],
        codec_pool: CodecPool,
        remember: Callable[[str, ServedVersion, Outputs, RowVersions | None], None],
    ) -> None:
        self._catalog = catalog
        self._batcher = batcher
        self.prepare = batcher.prepare
        self._guard = guard
        self._scorer = scorer
        self._router = router
        self._dialects = dialects
        self._codec_pool = codec_pool
        self._remember = remember

    def admit(self, call: Call) -> Admitted:
        """Authenticate the client, and choose the version: all that is decided before the body is there.

        Raises:
            Unauthenticated: the client needs an API key, and has none.
            NotFound, NotReady: no version can answer.
            Overloaded: too many requests wait for it to be queued, whatever its body.
        """
        client = self._guard.authenticate(call.headers.items(), call.address)
        dialect, served = self._dialects[call.dialect], self._catalog.choose(call.model, call.version)
        needs_priority = self._batcher.is_full and self._needs_priority(call, dialect, served, client)
        domains = self._catalog.domains_of(served) if call.version is None else None
        return Admitted(call, dialect, served, client, needs_priority, domains)

    def decode(self, admitted: Admitted, body: bytes) -> Prediction | Undecoded:
        """Decode the body, unless that takes long: `run` does it in a thread.

        Raises:
            InvalidInput: the body is not a request that the version can answer.
            Overloaded: it needs a priority to be queued, and states none.
        """
        call, dialect, served, _, needs_priority, _ = admitted
        if needs_priority and not dialect.has_priority(call, body):
            raise self._batcher.refuse(served, "queue_full")
        if memory := dialect.decoding_memory(served, call, body):
            return Undecoded(admitted, body, memory)
        return Prediction(admitted, dialect.decode(served, call, body))

    def submit(self, request: Prediction | Undecoded, on_answer: OnAnswer) -> bool:
        """Run the model on the event loop, together with other requests that have arrived, if its run is short.

        Args:
            request: from `decode`.
            on_answer: gets the answer, the error, or None where the run took too long: `run` queues it then.

        Returns:
            Whether it is run. If not, `run` decodes or queues it.
        """
        if isinstance(request, Undecoded) or request.query.layer_statistics or request.admitted.domains is not None:
            return False
        (call, dialect, served, client, _, _), query = request

        def encode(outcome: Outcome) -> None:
            if outcome is None or isinstance(outcome, Exception):
                on_answer(outcome)
                return
            answer: Answer | Exception
            self._remember_answer(request, served, outcome, None)
            try:
                answer = dialect.encode(served, call, query, outcome, None)
            except Exception as error:  # noqa: BLE001 - it is raised where the request is answered
                answer = error
            on_answer(answer)

        return self._batcher.submit(served, query.inputs, client, encode)

    async def run(self, request: Prediction | Undecoded, disconnected: Disconnected | None) -> Answer:
        """Run the model when it is the request's turn.

        Args:
            request: from `decode`.
            disconnected: waited for only while the request is queued. None where this coroutine is cancelled instead.

        Raises:
            Overloaded: too many requests wait, or this one has waited for longer than its timeout.
            ClientDisconnected: nobody waits for the answer any more.
            InvalidInput: layer statistics of a version that has none; or the body, if it was not decoded before.
            InferenceFailed: the runtime broke on these inputs.
        """
        decoded = await self._decode_in_thread(request) if isinstance(request, Undecoded) else request
        (call, dialect, served, client, _, domains), query = decoded
        row_versions: RowVersions | None = None
        if domains is None:
            outputs, scores = await self._run_version(decoded, served, query.inputs, disconnected)
        else:
            row_versions = await self._router.choose(domains, query.inputs)
            served, outputs, scores = await self._run_domains(decoded, domains, row_versions, disconnected)
            query = query._replace(row_versions=row_versions)
        self._remember_answer(decoded, served, outputs, row_versions)
        encode = partial(dialect.encode, served, call, query, outputs, scores)
        size = sum(output.nbytes for output in outputs.values())
        answer = (
            encode() if size <= LARGE_BYTES else await self._codec_pool.run(client, _JSON_BYTES_PER_BYTE * size, encode)
        )
        if row_versions is not None:
            answer.headers.append((ROW_VERSIONS, describe_versions(row_versions)))
        return answer

    async def answer(self, admitted: Admitted, body: bytes, disconnected: Disconnected | None) -> Answer:
        """Decode and run.

        Raises:
            DengeError: as `decode` and `run`.
        """
        return await self.run(self.decode(admitted, body), disconnected)

    async def _decode_in_thread(self, request: Undecoded) -> Prediction:
        call, dialect, served, client, *_ = request.admitted
        decode = partial(dialect.decode, served, call, request.body)
        return Prediction(request.admitted, await self._codec_pool.run(client, request.memory, decode))

    async def _run_version(
        self,
        request: Prediction,
        served: ServedVersion,
        inputs: Mapping[str, Array],
        disconnected: Disconnected | None,
    ) -> tuple[Outputs, Outputs | None]:
        """The outputs of one version, and the scores of the rows if they are asked for."""
        (_, dialect, _, client, _, _), query = request
        scores: Outputs | None = None
        if query.layer_statistics:  # first, since it may be refused
            scores = await self._scorer.score(dialect, served, query._replace(inputs=inputs))
        outputs = await self._batcher.run(
            served,
            inputs,
            client,
            disconnected=disconnected,
            priority=query.priority,
            timeout=query.timeout,
        )
        return outputs, scores

    async def _run_domains(
        self,
        request: Prediction,
        domains: ServedDomains,
        row_versions: RowVersions,
        disconnected: Disconnected | None,
    ) -> tuple[ServedVersion, Outputs, Outputs | None]:
        """What the versions of the rows answer, one after the other; and who answers, the default one for several."""
        inputs, parts = request.query.inputs, split_rows(domains, row_versions)
        if len(parts) == 1:
            served = parts[0][0]
            return served, *await self._run_version(request, served, inputs, disconnected)
        answered, scored = [], []
        for served, rows in parts:
            taken = {name: array[rows] for name, array in inputs.items()}
            outputs, scores = await self._run_version(request, served, taken, disconnected)
            answered.append((rows, outputs))
            scored += [] if scores is None else [(rows, scores)]
        return domains.parent, join_rows(answered), join_rows(scored) if len(scored) == len(parts) else None

    def _remember_answer(
        self, request: Prediction, served: ServedVersion, outputs: Outputs, row_versions: RowVersions | None
    ) -> None:
        if request.query.request_id:
            self._remember(request.query.request_id, served, outputs, row_versions)
        elif given := request.admitted.call.headers.get(_REQUEST_ID):
            self._remember(str(given, "latin-1"), served, outputs, row_versions)

    def _needs_priority(self, call: Call, dialect: Dialect, served: ServedVersion, client: str) -> bool:
        """Whether a request gets a place in the queue only by a priority that its body may state.

        Raises:
            Overloaded: it gets none.
        """
        if self._batcher.has_place(served, client, priority=0):
            return False
        if dialect.may_have_priority(call) and self._batcher.has_place(served, client, priority=1):
            return True
        raise self._batcher.refuse(served, "queue_full")

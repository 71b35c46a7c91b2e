"""What there is to know about the server and its models: health, metadata, configuration, statistics, the index."""

from google.protobuf.message import Message

from models.errors import NotReady
from service.catalog.catalog import Catalog
from service.grpc.calls import Client
from service.grpc.messages import from_response, message_class, parse
from service.host.lifecycle import Lifecycle
from service.inference.limits import Limits
from service.routes import configuration, models, statistics
from service.routes.health import ServerMetadata
from service.telemetry.statistics import Gather
from service.wire.grpc_request import parse_version


class Models:
    """Answers questions about models. The answers are those of HTTP.

    Args:
        catalog: what is loaded.
        lifecycle: of the process.
        limits: of the batcher.
        gather: returns the statistics of the whole service.
    """

    def __init__(self, catalog: Catalog, lifecycle: Lifecycle, limits: Limits, gather: Gather) -> None:
        self._catalog = catalog
        self._lifecycle = lifecycle
        self._limits = limits
        self._gather = gather

    @property
    def is_ready(self) -> bool:
        """Whether all models are loaded, and the service does not shut down."""
        return self._catalog.is_ready and not self._lifecycle.stopping

    def is_model_ready(self, name: str, version: int | None = None) -> bool:
        """Whether a version of a model is loaded, and the service does not shut down.

        Raises:
            NotFound: the repository has no such version.
        """
        try:
            self._catalog.get(name, version)
        except NotReady:
            return False
        return not self._lifecycle.stopping

    async def server_live(self, _client: Client, _message: bytes) -> bytes:
        """ServerLive."""
        return _encode(message_class("ServerLiveResponse")(live=True))

    async def server_ready(self, _client: Client, _message: bytes) -> bytes:
        """ServerReady."""
        return _encode(message_class("ServerReadyResponse")(ready=self.is_ready))

    async def server_metadata(self, _client: Client, _message: bytes) -> bytes:
        """ServerMetadata."""
        return _encode(from_response("ServerMetadataResponse", ServerMetadata()))

    async def model_ready(self, _client: Client, message: bytes) -> bytes:
        """ModelReady."""
        asked = parse("ModelReadyRequest", message)
        ready = self.is_model_ready(asked.name, parse_version(asked.version, "version"))
        return _encode(message_class("ModelReadyResponse")(ready=ready))

    async def model_metadata(self, _client: Client, message: bytes) -> bytes:
        """ModelMetadata."""
        asked = parse("ModelMetadataRequest", message)
        metadata = models.describe(self._catalog, asked.name, parse_version(asked.version, "version"))
        return _encode(from_response("ModelMetadataResponse", metadata))

    async def model_config(self, _client: Client, message: bytes) -> bytes:
        """ModelConfig."""
        asked = parse("ModelConfigRequest", message)
        served = self._catalog.get(asked.name, parse_version(asked.version, "version"))
        versions = self._catalog.versions(served.model)
        config = from_response("ModelConfig", configuration.describe(served, self._limits, versions))
        return _encode(message_class("ModelConfigResponse")(config=config))

    async def model_statistics(self, _client: Client, message: bytes) -> bytes:
        """ModelStatistics."""
        asked = parse("ModelStatisticsRequest", message)
        version = parse_version(asked.version, "version")
        versions = statistics.versions_of(self._catalog, asked.name, version) if asked.name else self._catalog.served()
        described = statistics.describe(versions, await self._gather())
        return _encode(from_response("ModelStatisticsResponse", described))


def _encode(message: Message) -> bytes:
    return bytes(message.SerializeToString())

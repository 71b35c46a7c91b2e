"""The model repository: its index, and loading and unloading models."""

from models.errors import InvalidInput
from service.catalog.catalog import Catalog
from service.grpc.calls import Client
from service.grpc.messages import message_class, parse
from service.host.blocking_pool import BlockingPool
from service.replicas.agreement import Agreement


class Repository:
    """Answers calls about the repository. Models are named, never located.

    Args:
        catalog: what is loaded.
        disk: threads that read the repository.
        changes: change what all replicas serve.
    """

    def __init__(self, catalog: Catalog, disk: BlockingPool, changes: Agreement) -> None:
        self._catalog = catalog
        self._disk = disk
        self._changes = changes

    async def index(self, _client: Client, message: bytes) -> bytes:
        """RepositoryIndex."""
        asked = parse("RepositoryIndexRequest", message)
        _require_the_repository(asked.repository_name)
        response = message_class("RepositoryIndexResponse")()
        for entry in await self._disk.run("list the repository", self._catalog.index):
            if entry.state == "READY" or not asked.ready:
                response.models.add(name=entry.name, version=entry.version, state=entry.state, reason=entry.reason)
        return bytes(response.SerializeToString())

    async def load(self, _client: Client, message: bytes) -> bytes:
        """RepositoryModelLoad."""
        asked = parse("RepositoryModelLoadRequest", message)
        _require_the_repository(asked.repository_name)
        if asked.parameters:
            raise InvalidInput("configurations and files cannot be sent: publish a bundle instead", "parameters")
        await self._changes.run(f"load model '{asked.model_name}'", self._catalog.load, asked.model_name)
        return b""

    async def unload(self, _client: Client, message: bytes) -> bytes:
        """RepositoryModelUnload. Parameters, such as Triton's `unload_dependents`, mean nothing here."""
        asked = parse("RepositoryModelUnloadRequest", message)
        _require_the_repository(asked.repository_name)
        await self._changes.run(f"unload model '{asked.model_name}'", self._catalog.unload, asked.model_name)
        return b""


def _require_the_repository(name: str) -> None:
    if name:
        raise InvalidInput("there is one repository, which has no name", "repository_name")

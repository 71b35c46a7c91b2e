"""What is loaded when the service starts: all models, or what was seen last where the repository does not answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from models.errors import DengeError, StorageError
from models.repository.repository import Repository
from models.runtime.providers import runtime_version
from models.starter import seed
from models.version import VERSION
from service.catalog.catalog import Catalog
from service.catalog.given_model import add_given_model
from service.host.blocking_pool import BlockingPool
from service.host.memory import reusing_all_freed
from service.replicas.agreement import Agreement
from service.settings import Settings

log = structlog.get_logger()

START_SECONDS = 15.0
"""How long the port stays closed for models that are still being loaded."""
RETRY_SECONDS = 10.0
"""After which a repository that did not answer at the start is read again."""


class Start:
    """Fills the repository and the catalog at the start of a replica.

    Args:
        repository: gets the given model or the starters.
        catalog: in which all models are loaded.
        agreement: of the replicas, on what is served.
        settings: of the service.
        retry_seconds: pause before a repository that did not answer is read again.
    """

    def __init__(
        self,
        repository: Repository,
        catalog: Catalog,
        agreement: Agreement,
        settings: Settings,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self._repository = repository
        self._catalog = catalog
        self._agreement = agreement
        self._settings = settings
        self._retry_seconds = retry_seconds
        self._pool = BlockingPool("start", 1, None)
        self._is_outdated = False
        self._is_serving = False

    @asynccontextmanager
    async def loading(self) -> AsyncIterator[None]:
        """Enter when everything is loaded. What takes longer than `START_SECONDS` is loaded while the service serves.

        Raises:
            StorageError: the repository refuses or does not answer within `START_SECONDS`, and nothing of it was seen
                before. One that takes longer to say so is read again while the service serves.
            ProviderUnavailable: the provider does not work.
        """
        loading = asyncio.ensure_future(self._start())
        done, _ = await asyncio.wait([loading], timeout=START_SECONDS)
        if done:
            await loading
        else:
            self._is_serving = True
            log.warning("still_loading", models=self._catalog.names())
            loading.add_done_callback(_log_failure)
        catching_up = asyncio.create_task(self._catch_up(loading))
        catching_up.add_done_callback(_log_failure)
        try:
            yield
        finally:
            catching_up.cancel()

    async def _start(self) -> None:
        await self._agreement.start(self._load)
        log.info(
            "ready",
            version=VERSION,
            onnxruntime=runtime_version(),
            provider=self._settings.provider,
            models=self._catalog.names(),
        )

    async def _load(self) -> None:
        try:
            await self._pool.run("load all models", self._load_all)
        except StorageError as error:
            seen = await self._pool.run("load what was seen last", self._catalog.load_last_seen)
            if not seen and not self._is_serving:
                raise
            self._is_outdated = True
            log.error("repository_unavailable", reason=str(error), models=self._catalog.names())

    async def _catch_up(self, loading: "asyncio.Future[None]") -> None:
        """Where the repository did not answer at the start, serve what it has as soon as it does."""
        await asyncio.wait([loading])
        if not self._is_outdated:
            return
        while self._is_outdated:
            await asyncio.sleep(self._retry_seconds)
            with suppress(StorageError):
                await self._pool.run("fill the repository", self._fill)
                for model in await self._pool.run("list the repository", self._catalog.want_all):
                    await self._refresh(model)
                self._is_outdated = False
        log.info("repository_available", models=self._catalog.names())

    async def _refresh(self, model: str) -> None:
        try:
            await self._agreement.run(f"load model '{model}'", self._catalog.refresh, model)
        except StorageError:
            raise
        except DengeError:  # the catalog has logged it
            pass

    def _load_all(self) -> None:
        with reusing_all_freed():
            self._fill()
            self._catalog.load_all()

    def _fill(self) -> None:
        self._repository.delete_abandoned()
        path, name = self._settings.model_path, self._settings.model_name
        if path is not None and name is not None:
            add_given_model(path, name, self._repository, self._settings.state_folder)
        elif self._settings.starters and (copied := seed(self._repository)):
            log.info("starters_copied", models=copied)


def _log_failure(loading: "asyncio.Future[None]") -> None:
    if not loading.cancelled() and (error := loading.exception()):
        log.error("models_not_loaded", exc_info=error)

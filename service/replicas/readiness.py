"""Whether a replica accepts requests."""

from models.errors import NotReady
from service.catalog.catalog import Catalog
from service.host.lifecycle import Lifecycle
from service.replicas.membership import Membership


class ReadinessCheck:
    """Reads the state of a replica, from memory.

    Args:
        lifecycle: of the process.
        catalog: what is loaded.
        membership: of this replica.
    """

    def __init__(self, lifecycle: Lifecycle, catalog: Catalog, membership: Membership) -> None:
        self._lifecycle = lifecycle
        self._catalog = catalog
        self._membership = membership

    def __call__(self) -> list[str]:
        """Returns warnings: what does not work although predictions do.

        Raises:
            NotReady: the service shuts down, or a model could not be loaded.
        """
        if self._lifecycle.stopping:
            raise NotReady("the service is shutting down: send requests to another replica")
        if not self._catalog.is_known:
            raise NotReady("the repository has not been read yet: the log says why, if it does not answer")
        if not self._catalog.is_ready:
            raise NotReady("a model could not be loaded: POST /v2/repository/index lists which one, and why")
        if not self._membership.is_available:
            return [f"the store ({self._membership.store.name}) does not answer"]
        return []

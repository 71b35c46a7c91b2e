"""Opens the store that the settings name."""

from service.replicas.memory import MemoryStore
from service.replicas.store import Store
from service.settings import ConfigurationError, Settings

FILE = "store.sqlite"
"""In the state folder."""


def open_store(settings: Settings) -> Store:
    """Returns the store. Nothing is connected until it is used.

    Raises:
        ConfigurationError: its client is not installed, or its URL or password cannot be used.
    """
    chosen = settings.store or ("memory" if settings.workers == 1 else "sqlite")
    if chosen == "memory":
        return MemoryStore()
    if chosen == "sqlite":
        from service.replicas.sqlite import SqliteStore  # noqa: PLC0415 - one process does not need it

        return SqliteStore(settings.state_folder / FILE)
    try:
        from service.replicas.valkey import ValkeyStore  # noqa: PLC0415 - slow to import, and an extra
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"store: {error.name} is not installed: pip install 'denge[redis]'") from error
    try:
        return ValkeyStore(chosen, settings.read_store_password())
    except ValueError as error:
        raise ConfigurationError(f"store: {error}") from error

"""One lock for each name."""

import pytest

from models.errors import StorageError
from service.host.named_locks import NamedLocks


def test_a_lock_excludes_its_name_alone_and_is_waited_for_only_so_long() -> None:
    locks = NamedLocks("model", seconds=0)
    refused = pytest.raises(StorageError, match="model 'tiny' is being changed by another request")
    with locks.held("tiny"), locks.held("other"), refused, locks.held("tiny"):
        pytest.fail("two held the lock")
    with locks.held("tiny"):
        pass

"""Memory that the control groups of this process allow. A container that takes more is killed.

https://docs.kernel.org/admin-guide/cgroup-v2.html (`memory.max`),
https://docs.kernel.org/admin-guide/cgroup-v1/memory.html (`memory.limit_in_bytes`).
"""

from contextlib import suppress
from pathlib import Path

from service.host.control_groups import control_groups

_NO_LIMIT = 1 << 62
"""Version 1 says that there is none by the largest number of pages, in bytes."""


def read_memory_limit(root: Path = Path("/")) -> int | None:
    """Returns the tightest limit of the control groups that this process is in, in bytes; None without one.

    Args:
        root: where `proc` and `sys` are mounted.
    """
    files = ("memory.max", "memory.limit_in_bytes")
    found = [_limit(group / file) for group in control_groups("memory", root) for file in files]
    return min((limit for limit in found if limit is not None), default=None)


def _limit(file: Path) -> int | None:
    with suppress(OSError, ValueError):  # `max` stands for none
        limit = int(file.read_text())
        return limit if 0 < limit < _NO_LIMIT else None
    return None

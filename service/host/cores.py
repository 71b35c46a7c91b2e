"""How many CPU cores this process may use: those it is bound to, and the container's share of their time.

A container with a quota of two cores sees all cores of its host. Threads for all of them would use the quota up at the
start of every period, and stand still for the rest of it.

Control groups nest, and each can only tighten what those above it grant: https://docs.kernel.org/admin-guide/cgroup-v2.html
(`cpu.max`), https://docs.kernel.org/scheduler/sched-bwc.html (`cpu.cfs_quota_us`, `cpu.cfs_period_us`).
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from math import ceil
from pathlib import Path, PurePosixPath


def usable(root: Path = Path("/")) -> int:
    """Cores that this process may keep busy, at least one. A fraction of a core counts as one.

    Args:
        root: of the file system with `proc` and `sys`.
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = quota(root)
    return bound if share is None else max(1, min(bound, ceil(share)))


def quota(root: Path = Path("/")) -> float | None:
    """The tightest quota of all control groups that this process is in, in cores; None where there is none.

    Args:
        root: of the file system with `proc` and `sys`.
    """
    shares = [share for group in _groups(root) for share in (_unified(group), _legacy(group)) if share is not None]
    return min(shares, default=None)


def _groups(root: Path) -> Iterator[Path]:
    """Folders of the control groups that govern this process's CPU time, as far as they can be seen from here."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    mounts = root / "sys/fs/cgroup"
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            mount = mounts  # version 2
        elif "cpu" in controllers.split(","):
            mount = mounts / controllers if (mounts / controllers).is_dir() else mounts / "cpu"
        else:
            continue
        # Inside of a container the path may be the host's and lead nowhere here; the mount is then the group itself.
        inner = PurePosixPath(path.lstrip("/"))
        if ".." not in inner.parts:
            yield from (mount / group for group in (inner, *inner.parents) if (mount / group).is_dir())
        else:
            yield mount


def _unified(group: Path) -> float | None:
    """Cores that `cpu.max` grants, e.g. ``150000 100000`` -> 1.5, ``max 100000`` -> None."""
    with suppress(OSError, ValueError):
        granted, period = (group / "cpu.max").read_text().split()
        return int(granted) / int(period)
    return None


def _legacy(group: Path) -> float | None:
    """Cores that version 1 grants; a quota of -1 is none."""
    with suppress(OSError, ValueError):
        granted = int((group / "cpu.cfs_quota_us").read_text())
        period = int((group / "cpu.cfs_period_us").read_text())
        return granted / period if granted > 0 else None
    return None

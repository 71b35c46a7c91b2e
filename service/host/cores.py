"""CPU cores that this process may use: limited by its affinity, and by the CPU quotas of its control groups.

A container with a quota of two cores sees all cores of its host. Threads for all of them would use up the quota at the
start of every period, and be throttled for the rest of it.

The tightest quota applies: https://docs.kernel.org/admin-guide/cgroup-v2.html (`cpu.max`),
https://docs.kernel.org/scheduler/sched-bwc.html (`cpu.cfs_quota_us`, `cpu.cfs_period_us`).
"""

import os
from contextlib import suppress
from math import ceil
from pathlib import Path

from service.host.control_groups import control_groups


def count_usable(root: Path = Path("/")) -> int:
    """Returns the number of cores that this process may keep busy, at least one. A fraction of a core counts as one.

    Args:
        root: where `proc` and `sys` are mounted.
    """
    affine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = read_quota(root)
    return affine if quota is None else max(1, min(affine, ceil(quota)))


def read_quota(root: Path = Path("/")) -> float | None:
    """Returns the tightest quota of the control groups that this process is in, in cores; None without one.

    Args:
        root: where `proc` and `sys` are mounted.
    """
    groups = list(control_groups("cpu", root))
    quotas = [_quota_v2(group) for group in groups] + [_quota_v1(group) for group in groups]
    return min((quota for quota in quotas if quota is not None), default=None)


def _quota_v2(group: Path) -> float | None:
    """Returns the quota of `cpu.max` in cores, e.g. ``150000 100000`` -> 1.5, ``max 100000`` -> None."""
    with suppress(OSError, ValueError):
        granted, period = (group / "cpu.max").read_text().split()
        return int(granted) / int(period)
    return None


def _quota_v1(group: Path) -> float | None:
    """Returns the quota of version 1 in cores; -1 stands for none."""
    with suppress(OSError, ValueError):
        granted = int((group / "cpu.cfs_quota_us").read_text())
        period = int((group / "cpu.cfs_period_us").read_text())
        return granted / period if granted > 0 else None
    return None

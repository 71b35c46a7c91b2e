"""Cores by affinity and control groups, on trees of files as kernels lay them out."""

import os
from pathlib import Path

import pytest

from service.host.cores import count_usable, read_quota
from service.settings import Settings


def tree(root: Path, membership: str, **files: str) -> Path:
    """A file system with `/proc/self/cgroup` and these files, `__` standing for a slash, under `/sys/fs/cgroup`."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(membership)
    (root / "sys/fs/cgroup").mkdir(parents=True)
    for name, text in files.items():
        file = root / "sys/fs/cgroup" / name.replace("__", "/").replace("cpu_", "cpu.")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(8)))


V2 = "0::/a/b\n"
V1 = "4:memory:/x\n3:cpuset:/x\n2:cpu,cpuacct:/a/b\n1:name=systemd:/x\n"

TREES: dict[str, tuple[str, dict[str, str], float | None]] = {
    "no limit": (V2, {"a__b__cpu_max": "max 100000\n"}, None),
    "one and a half": (V2, {"a__b__cpu_max": "150000 100000\n"}, 1.5),
    "another period": (V2, {"a__b__cpu_max": "30000 10000\n"}, 3.0),
    "the group above is tighter": (V2, {"a__b__cpu_max": "400000 100000", "a__cpu_max": "200000 100000"}, 2.0),
    "the group below is tighter": (V2, {"a__b__cpu_max": "100000 100000", "a__cpu_max": "200000 100000"}, 1.0),
    "only the group above has one": (V2, {"a__b__cpu_max": "max 100000", "a__cpu_max": "200000 100000"}, 2.0),
    "in a namespace": ("0::/\n", {"cpu_max": "200000 100000"}, 2.0),
    "the path is the host's": ("0::/docker/0123\n", {"cpu_max": "200000 100000"}, 2.0),
    "above the namespace": ("0::/../../c\n", {"cpu_max": "200000 100000"}, 2.0),
    "nothing is there": (V2, {}, None),
    "not a number": (V2, {"a__b__cpu_max": "many 100000"}, None),
    "cut short": (V2, {"a__b__cpu_max": "100000"}, None),
    "empty": (V2, {"a__b__cpu_max": ""}, None),
    "of another group": (V2, {"a__c__cpu_max": "100000 100000"}, None),
    "version 1, no limit": (
        V1,
        {"cpu,cpuacct__a__b__cpu_cfs_quota_us": "-1", "cpu,cpuacct__a__b__cpu_cfs_period_us": "100000"},
        None,
    ),
    "version 1": (
        V1,
        {"cpu,cpuacct__a__b__cpu_cfs_quota_us": "250000", "cpu,cpuacct__a__b__cpu_cfs_period_us": "100000"},
        2.5,
    ),
    "version 1, nested": (
        V1,
        {
            "cpu,cpuacct__a__b__cpu_cfs_quota_us": "250000",
            "cpu,cpuacct__a__b__cpu_cfs_period_us": "100000",
            "cpu,cpuacct__a__cpu_cfs_quota_us": "50000",
            "cpu,cpuacct__a__cpu_cfs_period_us": "50000",
        },
        1.0,
    ),
    "version 1 under its short name": (
        "2:cpu:/docker/0123\n",
        {"cpu__cpu_cfs_quota_us": "100000", "cpu__cpu_cfs_period_us": "100000"},
        1.0,
    ),
    "both versions, the tighter one": (
        "1:cpu:/\n0::/\n",
        {"cpu__cpu_cfs_quota_us": "300000", "cpu__cpu_cfs_period_us": "100000", "cpu_max": "200000 100000"},
        2.0,
    ),
}


@pytest.mark.parametrize(("membership", "files", "cores"), TREES.values(), ids=TREES.keys())
def test_the_tightest_quota_counts(tmp_path: Path, membership: str, files: dict[str, str], cores: float | None) -> None:
    assert read_quota(tree(tmp_path, membership, **files)) == cores


@pytest.mark.parametrize(
    ("granted", "cores"), [("100000", 1), ("150000", 2), ("1000", 1), ("799999", 8), ("6400000", 8), ("max", 8)]
)
def test_a_fraction_of_a_core_counts_as_one_and_the_affinity_bounds_all(
    tmp_path: Path, granted: str, cores: int
) -> None:
    assert count_usable(tree(tmp_path, "0::/", cpu_max=f"{granted} 100000")) == cores


def test_without_control_groups_the_affinity_counts(tmp_path: Path) -> None:
    assert count_usable(tmp_path) == 8


def test_where_there_is_no_affinity_all_cores_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 5)

    assert count_usable(tmp_path) == 5


def test_as_many_runs_at_a_time_as_cores() -> None:
    assert Settings().concurrency == count_usable()

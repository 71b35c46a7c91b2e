"""Memory by control groups, on trees of files as kernels lay them out."""

from pathlib import Path

import pytest

from service.host.memory_limit import read_memory_limit
from service.settings import Settings
from service.settings import memory as memory_settings

NO_LIMIT = "9223372036854771712\n"
V1 = "4:memory:/x\n2:cpu,cpuacct:/a/b\n"

TREES: dict[str, tuple[str, dict[str, str], int | None]] = {
    "no limit": ("0::/a/b\n", {"a/b/memory.max": "max\n"}, None),
    "a limit": ("0::/a/b\n", {"a/b/memory.max": "402653184\n"}, 402653184),
    "the group above is tighter": ("0::/a/b\n", {"a/b/memory.max": "400", "a/memory.max": "200"}, 200),
    "only the group above has one": ("0::/a/b\n", {"a/b/memory.max": "max", "a/memory.max": "200"}, 200),
    "in a namespace": ("0::/\n", {"memory.max": "200"}, 200),
    "nothing is there": ("0::/a/b\n", {}, None),
    "not a number": ("0::/a/b\n", {"a/b/memory.max": "many"}, None),
    "of another group": ("0::/a/b\n", {"a/c/memory.max": "200"}, None),
    "version 1": (V1, {"memory/x/memory.limit_in_bytes": "200\n"}, 200),
    "version 1, no limit": (V1, {"memory/x/memory.limit_in_bytes": NO_LIMIT}, None),
    "version 1, the path is the host's": (V1, {"memory/memory.limit_in_bytes": "200"}, 200),
    "version 1, of another controller": (V1, {"cpu,cpuacct/a/b/memory.limit_in_bytes": "200"}, None),
}


@pytest.mark.parametrize("name", TREES)
def test_the_tightest_limit_applies(tmp_path: Path, name: str) -> None:
    membership, files, expected = TREES[name]
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(membership)
    for path, text in files.items():
        file = tmp_path / "sys/fs/cgroup" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    assert read_memory_limit(tmp_path) == expected


def test_without_proc_there_is_no_limit(tmp_path: Path) -> None:
    assert read_memory_limit(tmp_path) is None


@pytest.mark.parametrize(
    ("limit_mib", "workers", "bodies", "codec"),
    [
        (None, 1, 512, 256),
        (16384, 1, 512, 256),  # more than the defaults need
        (1024, 1, 256, 128),
        (1024, 2, 128, 64),
        (256, 1, 128, 32),  # a client may use half of it for one body
    ],
)
def test_a_container_bounds_what_requests_may_take_by_default(
    monkeypatch: pytest.MonkeyPatch, limit_mib: int | None, workers: int, bodies: int, codec: int
) -> None:
    limit = None if limit_mib is None else limit_mib << 20
    monkeypatch.setattr(memory_settings, "read_memory_limit", lambda: limit)

    settings = Settings(workers=workers)

    assert (settings.max_bodies_mib, settings.codec_mib) == (bodies, codec)
    assert settings.for_worker().codec_mib == codec  # a share already


def test_what_is_set_is_not_bounded_by_the_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_settings, "read_memory_limit", lambda: 256 << 20)

    settings = Settings(max_bodies_mib=1000, codec_mib=200)

    assert (settings.max_bodies_mib, settings.codec_mib) == (1000, 200)

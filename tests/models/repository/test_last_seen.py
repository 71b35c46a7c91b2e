"""What was last read of a bucket."""

import os
from pathlib import Path

import pytest

from models.repository.last_seen import LastSeen
from models.repository.rollout import Rollout


def test_it_survives_a_restart(tmp_path: Path) -> None:
    seen = LastSeen(tmp_path / "state" / "seen.json")
    seen.record_digest("mlp", 1, "a")
    seen.record_digest("mlp", 2, "b")
    seen.record_rollout("mlp", Rollout(default=1))
    seen.record_digest("gone", 1, "c")
    seen.record_models({"mlp": (2, 3)})

    restored = LastSeen(tmp_path / "state" / "seen.json")
    assert restored.models() == seen.models()
    assert restored.models()["mlp"] == ({2: "b"}, Rollout(default=1))
    assert (restored.digest("mlp", 1), restored.digest("mlp", 2), restored.digest("gone", 1)) == (None, "b", None)
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["seen.json"]


def test_it_is_on_the_disk_before_it_replaces_what_was_seen_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync
    synced: list[tuple[str, bytes]] = []

    def record(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        synced.append((path.name, (tmp_path / "seen.json").read_bytes()))
        fsync(descriptor)

    seen = LastSeen(tmp_path / "seen.json")
    seen.record_digest("mlp", 1, "a")
    before = (tmp_path / "seen.json").read_bytes()
    monkeypatch.setattr(os, "fsync", record)
    seen.record_digest("mlp", 2, "b")

    assert synced == [("seen.json", before), (tmp_path.name, (tmp_path / "seen.json").read_bytes())]


@pytest.mark.parametrize("content", [b"", b"{", b'{"models": {"mlp": {"digests": {"x": 1}}}}'])
def test_a_file_that_cannot_be_read_is_as_if_nothing_was_seen(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "seen.json").write_bytes(content)

    assert LastSeen(tmp_path / "seen.json").models() == {}


def test_a_disk_that_cannot_be_written_harms_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    seen = LastSeen(tmp_path / "file" / "seen.json")
    seen.record_digest("mlp", 1, "a")

    assert seen.digest("mlp", 1) == "a"

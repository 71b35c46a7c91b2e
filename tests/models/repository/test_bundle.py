"""One version on disk: `models.repository.bundle`."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import BundleError, DamagedBundle, ForeignBundle
from models.repository import bundle as bundles
from models.repository.bundle import DIGESTS, FILES, HELD_OUT, Bundle
from models.repository.repository import Repository
from models.stored_graph import StoredGraph
from tests.architecture.source import ROOT
from tests.bundles import INPUT, image_bundle, tiny_bundle

STARTERS = ROOT / "models" / "starter"
ALL_FILES = (*FILES, DIGESTS)
EACH_FILE = pytest.mark.parametrize("name", ALL_FILES)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A written bundle."""
    path = tmp_path / "1"
    path.mkdir()
    bundles.write(path, bundles.pack(tiny_bundle()))
    return path


def agrees(folder: Path) -> bool:
    """Whether coreutils find every file as its digest says."""
    done = subprocess.run(["sha256sum", "--check", "--strict", DIGESTS], cwd=folder, capture_output=True, check=False)
    return done.returncode == 0


def resign(folder: Path) -> None:
    """Make the digests right again, as somebody who edits a bundle by hand would."""
    sums = subprocess.run(["sha256sum", *FILES], cwd=folder, capture_output=True, check=True).stdout
    (folder / DIGESTS).write_bytes(sums)


def edit_manifest(folder: Path, edit: Callable[[dict], None]) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    edit(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    resign(folder)


@pytest.mark.parametrize("bundle", [tiny_bundle(), tiny_bundle(labels=None, seed=5), image_bundle()])
def test_what_is_read_is_what_was_written(tmp_path: Path, bundle: Bundle) -> None:
    bundles.write(tmp_path, bundles.pack(bundle))

    assert bundles.read(tmp_path) == bundle


def test_held_out_rows_are_a_file_of_their_own(tmp_path: Path) -> None:
    bundle = replace(tiny_bundle(), held_out=b"rows")
    bundles.write(tmp_path, bundles.pack(bundle))

    assert bundles.read(tmp_path) == bundle
    assert agrees(tmp_path)

    (tmp_path / HELD_OUT).write_bytes(b"other")
    with pytest.raises(DamagedBundle, match=r"held_out.npz does not match its digest"):
        bundles.read(tmp_path)
    (tmp_path / HELD_OUT).unlink()
    with pytest.raises(DamagedBundle, match=r"held_out.npz is missing"):
        bundles.read(tmp_path)


@pytest.fixture(scope="module")
def shared() -> Bundle:
    """A bundle whose graphs share files of weights."""
    return Repository(STARTERS).read("mlp", 1)


def test_graphs_share_files_of_weights(tmp_path: Path, shared: Bundle) -> None:
    files = bundles.pack(shared)
    bundles.write(tmp_path, files)

    assert bundles.read(tmp_path) == shared
    assert {"source.weights", "folded.weights"} < files.keys()
    # Unlike the three graphs of the network with their weights in them, 2.97 times the source graph.
    assert sum(len(data) for name, data in files.items() if name.endswith(("onnx", "weights"))) < 2.05 * len(
        files["source.weights"]
    )
    assert agrees(tmp_path)

    (tmp_path / "folded.weights").unlink()
    with pytest.raises(DamagedBundle, match=r"folded.weights is missing"):
        bundles.read(tmp_path)
    (tmp_path / "folded.weights").symlink_to(tmp_path / "source.weights")
    with pytest.raises(DamagedBundle, match=r"folded.weights cannot be read"):
        bundles.read(tmp_path)


def test_serving_reads_and_verifies_all_but_the_source_graph(tmp_path: Path) -> None:
    source = StoredGraph(b"in source.weights", {"source.weights": b"weights"})
    folded = StoredGraph(b"in folded.weights", {"folded.weights": b"other weights"})
    bundle = replace(tiny_bundle(), source=source, folded=folded, observed=folded, held_out=b"rows")
    bundles.write(tmp_path, bundles.pack(bundle))
    served = bundles.read_served(tmp_path)

    assert (served.manifest, served.folded, served.observed) == (bundle.manifest, folded, folded)
    assert served.held_out == b"rows"
    assert bundles.read(tmp_path) == bundle
    for name in ("source.onnx", "source.weights"):
        (tmp_path / name).write_bytes(b"altered")
    assert bundles.read_served(tmp_path) == served
    with pytest.raises(DamagedBundle, match=r"source\.(onnx|weights) does not match its digest"):
        bundles.read(tmp_path)
    for name in ("folded.weights", "observed.onnx", "held_out.npz"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content + b"0")
        with pytest.raises(DamagedBundle, match=f"{name} does not match its digest"):
            bundles.read_served(tmp_path)
        (tmp_path / name).write_bytes(content)


def test_weights_that_the_served_graphs_share_with_the_source_graph_are_verified(tmp_path: Path) -> None:
    source = StoredGraph(b"in source.weights", {"source.weights": b"weights"})
    bundles.write(tmp_path, bundles.pack(replace(tiny_bundle(), source=source, folded=source)))
    assert bundles.read_served(tmp_path).folded == source

    (tmp_path / "source.weights").write_bytes(b"altered")
    with pytest.raises(DamagedBundle, match=r"source\.weights does not match its digest"):
        bundles.read_served(tmp_path)


def test_weights_have_files_of_their_own(shared: Bundle) -> None:
    assert isinstance(shared.folded, StoredGraph)
    other = {name: content + b"0" for name, content in shared.folded.weights.items()}
    for weights in (other, {"../folded.weights": b""}, {"manifest.json": b""}):
        with pytest.raises(ValueError, match=r"the weights of folded\.onnx cannot be stored in"):
            bundles.pack(replace(shared, folded=StoredGraph(shared.folded.model, weights)))


def test_held_out_rows_that_the_digests_do_not_list_are_a_file_too_many(folder: Path) -> None:
    (folder / HELD_OUT).write_bytes(b"rows")

    with pytest.raises(DamagedBundle, match=r"unexpected file 'held_out\.npz'"):
        bundles.read(folder)


def test_sha256sum_agrees(folder: Path) -> None:
    assert agrees(folder)


def test_a_bundle_signed_by_sha256sum_is_read(folder: Path) -> None:
    edit_manifest(folder, lambda manifest: manifest.update(description="edited by hand"))

    assert bundles.read(folder).manifest.description == "edited by hand"


def test_nothing_is_overwritten(folder: Path) -> None:
    with pytest.raises(FileExistsError):
        bundles.write(folder, bundles.pack(tiny_bundle(seed=1)))
    assert bundles.read(folder) == tiny_bundle()


def test_every_file_and_then_the_folder_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync = os.fsync
    synced: list[str] = []

    def record(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    bundles.write(tmp_path, bundles.pack(tiny_bundle()))

    assert sorted(synced[:-1]) == sorted(ALL_FILES)
    assert synced[-1] == tmp_path.name


@EACH_FILE
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()

    with pytest.raises(BundleError, match=name):
        bundles.read(folder)


@pytest.mark.parametrize("name", ["weights.bin", ".hidden", "source.onnx.data", "SHA256SUMS~"])
def test_a_file_too_many_is_named(folder: Path, name: str) -> None:
    (folder / name).touch()

    with pytest.raises(DamagedBundle, match=f"unexpected file '{name}'"):
        bundles.read(folder)


@pytest.mark.parametrize("name", FILES)
def test_any_flipped_bit_is_found(folder: Path, name: str) -> None:
    intact = (folder / name).read_bytes()
    for position in range(0, len(intact), 7):
        damaged = bytearray(intact)
        damaged[position] ^= 1 << position % 8
        (folder / name).write_bytes(damaged)

        with pytest.raises(DamagedBundle, match=f"{name} does not match its digest"):
            bundles.read(folder)


def test_any_flipped_bit_of_the_digests_is_found(folder: Path) -> None:
    intact = (folder / DIGESTS).read_bytes()
    for position in range(len(intact)):
        for bit in range(8):
            damaged = bytearray(intact)
            damaged[position] ^= 1 << bit
            (folder / DIGESTS).write_bytes(damaged)

            with pytest.raises(BundleError):
                bundles.read(folder)


@EACH_FILE
@pytest.mark.parametrize("keep", [0, 0.5, 0.99])
def test_a_truncated_file_is_found(folder: Path, name: str, keep: float) -> None:
    file = folder / name
    os.truncate(file, int(keep * file.stat().st_size))

    with pytest.raises(BundleError):
        bundles.read(folder)
    assert not agrees(folder)


@EACH_FILE
def test_a_link_is_refused_though_its_target_is_right(folder: Path, name: str) -> None:
    """What the link leads to could change after it was verified, or be outside of the repository."""
    elsewhere = folder.parent / "elsewhere"
    (folder / name).rename(elsewhere)
    (folder / name).symlink_to(elsewhere)

    with pytest.raises(DamagedBundle, match=f"{name} cannot be read"):
        bundles.read(folder)


@EACH_FILE
@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["folder", "pipe"])
def test_what_is_no_file_is_refused_without_waiting_for_it(
    folder: Path, name: str, make: Callable[[Path], None]
) -> None:
    (folder / name).unlink()
    make(folder / name)

    with pytest.raises(BundleError, match=name):
        bundles.read(folder)


@pytest.mark.parametrize(
    ("garbage", "reason"),
    [
        (b"", "not a list of digests"),
        (b"\n", "not a list of digests"),
        (b"garbage", "not a list of digests"),
        (b"\xff\xfe", "not a list of digests"),
        (b"0  manifest.json\n", "must list manifest.json, source.onnx, folded.onnx"),
        (b"0  ../../etc/passwd\n", "must list"),
        (b"0  manifest.json\n0  source.onnx\n0  folded.onnx\n", "manifest.json does not match its digest"),
        (b"0  manifest.json\n0  source.onnx\n0  folded.onnx\n0  more\n", "must list"),
        (b"0  manifest.json\n0  source.onnx\n0  folded.onnx\n\n", "not a list of digests"),
    ],
)
def test_garbage_for_digests_is_refused(folder: Path, garbage: bytes, reason: str) -> None:
    (folder / DIGESTS).write_bytes(garbage)

    with pytest.raises(BundleError, match=reason):
        bundles.read(folder)


def test_two_digests_of_one_file_are_refused(folder: Path) -> None:
    """Which of them counts would depend on who reads."""
    text = (folder / DIGESTS).read_text()
    (folder / DIGESTS).write_text(f"{'0' * 64}  manifest.json\n{text}")

    with pytest.raises(ForeignBundle, match="must list"):
        bundles.read(folder)
    assert not agrees(folder)


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda _: None], ids=["empty folder", "file", "nothing"])
def test_what_is_no_bundle_is_foreign(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "1")

    with pytest.raises(ForeignBundle, match="1 is not a bundle: it has no SHA256SUMS"):
        bundles.read(tmp_path / "1")


@pytest.mark.parametrize("version", [0, 1, 3, "2", None, 1.5])
def test_a_foreign_schema_version_is_refused_by_number(folder: Path, version: object) -> None:
    edit_manifest(folder, lambda manifest: manifest.update(schema_version=version))

    with pytest.raises(ForeignBundle, match=rf"schema version {version!r}; this release reads 2"):
        bundles.read(folder)


def test_a_field_that_is_not_known_is_refused_by_name(folder: Path) -> None:
    """It may change what the others mean."""
    edit_manifest(folder, lambda manifest: manifest["norm_layers"][0].update(groups=2))

    with pytest.raises(ForeignBundle, match=r"manifest.json: norm_layers\[0\].groups: unknown field"):
        bundles.read(folder)


def test_a_missing_field_is_refused_by_name(folder: Path) -> None:
    edit_manifest(folder, lambda manifest: manifest.pop("parity"))

    with pytest.raises(ForeignBundle, match=r"manifest.json: parity: missing"):
        bundles.read(folder)


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"null", b"\xff", b'{"model": "\xed\xa0\x80"}', b"[" * 100_000])
def test_a_manifest_that_is_no_object_is_refused(folder: Path, text: bytes) -> None:
    (folder / "manifest.json").write_bytes(text)
    resign(folder)

    with pytest.raises(ForeignBundle, match=r"manifest\.json"):
        bundles.read(folder)


def test_a_manifest_of_absurd_length_is_not_parsed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundles, "MAX_MANIFEST_BYTES", 100)

    with pytest.raises(ForeignBundle, match="at most 100 are read"):
        bundles.read(folder)


@given(data=st.data())
def test_whatever_is_read_sha256sum_finds_intact(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("bundle")
    bundles.write(folder, bundles.pack(tiny_bundle()))
    name = data.draw(st.sampled_from(ALL_FILES))
    content = (folder / name).read_bytes()
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(start, min(start + 3, len(content))))
    (folder / name).write_bytes(content[:start] + data.draw(st.binary(max_size=3)) + content[end:])
    try:
        bundle = bundles.read(folder)
    except BundleError:
        pass
    else:
        assert bundle == tiny_bundle()
        assert agrees(folder)
    shutil.rmtree(folder)


@pytest.mark.parametrize(("bundle", "row"), [(tiny_bundle(), (4,)), (image_bundle(), (1, 8, 8))])
def test_the_graphs_of_the_bundles_that_tests_use_agree(bundle: Bundle, row: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=(16, *row)).astype(np.float32)

    source, folded = (
        onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"]).run(None, {INPUT: x})[0]
        for graph in (bundle.source, bundle.folded)
    )

    assert np.abs(source - folded).max() <= 1e-5 * np.abs(source).max()
    assert np.ptp(source, axis=0).min() > 0.1, "rows differ, or agreement would say nothing"

"""MNIST's files: read from a folder, or fetched into it."""

import gzip
import hashlib
import itertools
from pathlib import Path

import httpx2
import numpy as np
import pytest

from models.errors import InvalidInput
from tests.training.data.test_idx import file
from training.data import mnist
from training.data.load import load

REAL = Path(__file__).parents[4] / "shared" / "data" / "mnist"

CONTENTS = {
    name: gzip.compress(file(2, 3, 3) if "idx3" in name else file(2), mtime=number)
    for number, name in enumerate(mnist.SHA256)
}


@pytest.fixture
def tiny_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """The four files are tiny ones of our own."""
    for name, data in CONTENTS.items():
        monkeypatch.setitem(mnist.SHA256, name, hashlib.sha256(data).hexdigest())


def client(*broken: str, status: int = 200) -> httpx2.Client:
    """Mirrors that serve `CONTENTS`, but for those that send nonsense or an error."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        if any(part in str(request.url) for part in broken):
            return httpx2.Response(status, content=iter([b"<html>sign in to this network</html>"]))
        return httpx2.Response(200, content=iter([CONTENTS[request.url.path.rsplit("/", 1)[1]]]))

    return httpx2.Client(transport=httpx2.MockTransport(answer))


@pytest.mark.skipif(not REAL.is_dir(), reason="MNIST is not beside this checkout")
def test_the_real_files_are_read() -> None:
    data = mnist.load(REAL)

    assert data.train_images.shape == (60_000, 1, 28, 28)
    assert data.test_images.shape == (10_000, 1, 28, 28)
    np.testing.assert_array_equal(data.train_labels[:5], [5, 0, 4, 1, 9])
    np.testing.assert_array_equal(
        np.bincount(data.test_labels), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    )


@pytest.mark.usefixtures("tiny_files")
def test_missing_files_are_fetched_and_kept(tmp_path: Path) -> None:
    data = mnist.load(tmp_path / "new" / "mnist", client())

    assert data.train_images.shape == (2, 1, 3, 3)
    assert sorted(path.name for path in (tmp_path / "new" / "mnist").iterdir()) == sorted(mnist.SHA256)
    load("mnist", tmp_path / "new" / "mnist")  # and no mirror is asked again


@pytest.mark.usefixtures("tiny_files")
@pytest.mark.parametrize("status", [200, 503])
def test_the_second_mirror_serves_when_the_first_is_broken(tmp_path: Path, status: int) -> None:
    assert mnist.load(tmp_path, client("amazonaws", status=status)).train_labels.tolist() == [0, 1]


@pytest.mark.usefixtures("tiny_files")
def test_when_no_mirror_serves_the_error_says_which_files_to_put_where(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be fetched") as caught:
        mnist.load(tmp_path / "mnist", client("https://"))

    assert str(tmp_path / "mnist") in str(caught.value)
    assert all(name in str(caught.value) for name in mnist.SHA256)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("tiny_files")
def test_a_mirror_that_never_stops_sending_is_cut_off(tmp_path: Path) -> None:
    endless = httpx2.MockTransport(lambda _: httpx2.Response(200, content=itertools.repeat(b" " * (1 << 20))))

    with pytest.raises(InvalidInput, match="has another SHA-256"):
        mnist.load(tmp_path, httpx2.Client(transport=endless))


@pytest.mark.usefixtures("tiny_files")
def test_a_file_with_other_bytes_is_refused_by_name(tmp_path: Path) -> None:
    mnist.load(tmp_path, client())
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(b"other"))

    with pytest.raises(InvalidInput, match=r"t10k-labels-idx1-ubyte.gz is not the MNIST file"):
        mnist.load(tmp_path)

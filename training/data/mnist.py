"""MNIST (LeCun, Cortes & Burges 1998): 60,000 training and 10,000 test images of handwritten digits, 28 x 28.

The four files are read from a folder, or fetched into it from public mirrors. Their SHA-256 is checked either way.
"""

import gzip
import hashlib
from pathlib import Path

import httpx2
import numpy as np
from numpy.typing import NDArray

from models.durable_files import replace_file
from models.errors import InvalidInput
from training.data import idx
from training.data.dataset import DIGIT_NAMES, GREY_28, ImageDataset

SHA256 = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist", "https://storage.googleapis.com/cvdf-datasets/mnist")

_MAX_BYTES = 16 << 20  # the largest of the files has 9.5 MiB


def load(folder: Path, client: httpx2.Client | None = None) -> ImageDataset:
    """Images of shape (N, 1, 28, 28), fetched into the folder first if they are not there.

    Args:
        folder: with the four files, or to fetch them into.
        client: fetches them; by default one with a timeout of 30 seconds.

    Raises:
        InvalidInput: a file has other contents, or is missing and no mirror can be reached.
    """
    missing = [name for name in SHA256 if not (folder / name).is_file()]
    if missing:
        with client or httpx2.Client(timeout=30, follow_redirects=True) as connected:
            for name in missing:
                _fetch(folder, name, connected)
    train_images, train_labels, test_images, test_labels = (_read(folder / name) for name in SHA256)
    return ImageDataset(
        train_images[:, None],
        train_labels.astype(np.int64),
        test_images[:, None],
        test_labels.astype(np.int64),
        DIGIT_NAMES,
        GREY_28,
    )


def _read(path: Path) -> NDArray[np.uint8]:
    data = path.read_bytes()
    # Checked before it is unpacked: the files with these digests unpack to a known size.
    if hashlib.sha256(data).hexdigest() != SHA256[path.name]:
        raise InvalidInput(f"{path} is not the MNIST file of this name (its SHA-256 differs): delete it", "data-dir")
    return idx.parse(gzip.decompress(data), axes=3 if "idx3" in path.name else 1)


def _fetch(folder: Path, name: str, client: httpx2.Client) -> None:
    reasons = []
    for mirror in MIRRORS:
        try:
            data = _download(client, f"{mirror}/{name}")
        except httpx2.HTTPError as error:
            reasons.append(f"{mirror}: {error or type(error).__name__}")
            continue
        if hashlib.sha256(data).hexdigest() == SHA256[name]:
            folder.mkdir(parents=True, exist_ok=True)
            replace_file(folder / name, data)  # also when two runs fetch at once
            return
        reasons.append(f"{mirror}: the file has another SHA-256")
    raise InvalidInput(
        f"{name} is not in {folder} and cannot be fetched ({'; '.join(reasons)}). "
        f"Put these four files there: {', '.join(SHA256)}",
        "data-dir",
    )


def _download(client: httpx2.Client, url: str) -> bytes:
    data = bytearray()
    with client.stream("GET", url) as response:
        response.raise_for_status()
        # Raw: the .gz file itself, whatever content encoding a mirror states for it.
        for chunk in response.iter_raw():
            data += chunk
            if len(data) > _MAX_BYTES:
                break
    return bytes(data)

"""Does the service answer what torch answers? Every test image is posted as a PNG file and compared.

    python benchmarks/accuracy_over_http.py --checkpoint runs/mlp/checkpoint.safetensors --name mlp

Starts a service of its own over `--repository`, in which the checkpoint's model must be published, and prints both
accuracies and the largest difference of any probability. Exits with 1 where they disagree.
"""

import argparse
import io
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from training import checkpoint, population, run
from training.data.dataset import ImageDataset
from training.data.load import load
from training.networks.build import build

TOLERANCE = 1e-5


def torch_probabilities(path: Path, data_dir: Path) -> tuple[NDArray[np.float64], NDArray[np.uint8], NDArray[np.int64]]:
    """Probabilities, images and labels of the test set, by the network as `train` published it."""
    found = checkpoint.read(path)
    torch.set_num_threads(found.config.threads)
    dataset = load(found.config.data, data_dir)
    if not isinstance(dataset, ImageDataset):
        raise SystemExit("the checkpoint is of a network for texts: only images are sent")
    rows = run.Rows.of(found.config, dataset)
    network = build(found.config, dataset)
    found.restore_network(network)
    population.store_statistics(network.eval(), population.batches(rows.train))
    with torch.no_grad():
        logits = network(rows.test).double()
    return logits.softmax(1).numpy(), dataset.test_images, dataset.test_labels


@contextmanager
def service(repository: Path) -> Iterator[str]:
    command = [
        sys.executable,
        "-m",
        "service",
        "--port",
        "0",
        "--repository",
        str(repository),
        "--log-level",
        "warning",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()


def served_probabilities(url: str, name: str, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    answers = []
    with httpx2.Client(base_url=url) as client:
        for image in images:
            file = io.BytesIO()
            Image.fromarray(image[0]).save(file, format="PNG")
            response = client.post(f"/v2/models/{name}/predict", content=file.getvalue())
            response.raise_for_status()
            answers.append([entry["probability"] for entry in response.json()["probabilities"]])
    return np.array(answers)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--repository", type=Path, default=Path("repository"))
    parser.add_argument("--data-dir", type=Path, default=Path("data/mnist"))
    options = parser.parse_args()

    expected, images, labels = torch_probabilities(options.checkpoint, options.data_dir)
    with service(options.repository) as url:
        got = served_probabilities(url, options.name, images)

    difference = np.abs(got - expected).max()
    accuracies = [(probabilities.argmax(1) == labels).mean() for probabilities in (expected, got)]
    print(f"{options.name}: {len(images)} images, torch {accuracies[0]:.2%}, served {accuracies[1]:.2%}")
    print(f"largest difference of a probability: {difference:.2g}")
    return 0 if accuracies[0] == accuracies[1] and difference <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())

"""Send images of digits to a starter model, with noise if asked for, and count how often noise changes the answer.

    python examples/traffic.py                  1,500 clean images to the convnet
    python examples/traffic.py --noise 0.6      as a broken camera would send them

The images are the 256 held-out rows of the model's first version, in random order, each with noise of its own.
"""

import argparse
from pathlib import Path

import httpx2
import numpy as np
from numpy.typing import NDArray

from models.runtime.load import load

STARTERS = Path(__file__).parents[1] / "models" / "starter"


class Client:
    """Asks one model of a service.

    Args:
        url: of the service.
        model: a starter.
    """

    def __init__(self, url: str, model: str) -> None:
        self._http = httpx2.Client(base_url=url, timeout=30)
        self._path = f"/v2/models/{model}"
        self.versions: set[str] = set()

    def predict(self, rows: NDArray[np.float32]) -> NDArray[np.int64]:
        """Returns the classes of rows.

        Raises:
            httpx2.HTTPStatusError: the service refuses them.
        """
        tensor = {"name": "input", "datatype": "FP32", "shape": rows.shape, "data": rows.ravel().tolist()}
        response = self._http.post(f"{self._path}/infer", json={"inputs": [tensor]})
        if response.is_error:
            raise SystemExit(response.json()["error"])
        answer = response.json()
        self.versions.add(answer["model_version"])
        return np.reshape(answer["outputs"][0]["data"], (len(rows), -1)).argmax(1)


def main(arguments: list[str] | None = None) -> float:
    """Send the images, and return the share of those whose class is that of the clean image."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--url", default="http://localhost:8000", help="of the service (default: %(default)s)")
    parser.add_argument("--model", default="convnet", help="convnet or mlp (default: %(default)s)")
    parser.add_argument("--images", type=int, default=1500, help="how many (default: %(default)s)")
    parser.add_argument("--noise", type=float, default=0.0, help="standard deviation, where pixels are 0 to 1")
    parser.add_argument("--seed", type=int, default=None, help="of the order and the noise")
    options = parser.parse_args(arguments)

    bundle = STARTERS / options.model / "1"
    with np.load(bundle / "held_out.npz") as held_out:
        clean = held_out["input"]
    # Here, not by the service: it would watch and collect the clean images as well.
    run = load((bundle / "folded.onnx").read_bytes(), optimize=True)
    expected = run({"input": clean})["logits"].argmax(1)
    generator = np.random.default_rng(options.seed)
    client = Client(options.url, options.model)

    correct = 0
    for sent in range(options.images):
        index = generator.integers(len(clean))
        noise = options.noise * generator.standard_normal(clean[index].shape, np.float32)
        image = np.clip(clean[index] + noise, 0, 1, dtype=np.float32)
        correct += int(client.predict(image[np.newaxis])[0] == expected[index])
        if sent % 100 == 99:
            print(f"\r{sent + 1:,} images", end="", flush=True)
    share = correct / options.images
    versions = " and ".join(sorted(client.versions))
    print(f"\r{options.images:,} images: {share:.1%} answered as the clean image was, by version {versions}")
    return share


if __name__ == "__main__":
    main()

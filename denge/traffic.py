"""`denge traffic`: images of digits for a starter model, as a clean or a noisy camera sends them.

The images are the 256 held-out rows of the starter's first version, in random order, each with noise of its own. The
version's own graph classifies the clean images here, since the service would watch and collect them as well.
"""

from contextlib import closing
from typing import Annotated, Any, Literal, NamedTuple

import httpx2
import numpy as np
import orjson
from cyclopts import Parameter
from numpy.typing import NDArray

from models import starter
from models.errors import InvalidInput, NotReady
from models.progress import ProgressLine
from models.repository.held_out import unpack
from models.runtime.load import load

URL = "http://localhost:8000"
TIMEOUT_SECONDS = 90
"""Longer than an answer that waits for a job's end."""
Starter = Literal["convnet", "mlp"]


class Client:
    """A service, asked over HTTP.

    Args:
        url: where it serves.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx2.Client(base_url=url, timeout=TIMEOUT_SECONDS)

    def ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Returns the decoded answer.

        Raises:
            NotReady: nothing answers.
            InvalidInput: the service refuses, with its reason.
        """
        try:
            response = self._http.request(method, path, json=body)
        except httpx2.TransportError as error:
            raise NotReady(f"no service answers at {self.url}: start one with `denge serve`, or name --url") from error
        if response.is_error:
            raise InvalidInput(response.json()["error"], f"{method} {path}")
        answer: dict[str, Any] = response.json()
        return answer

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


class Camera:
    """Sends images to a starter model.

    Args:
        client: of the service that serves it.
        model: a starter.
        seed: of order and noise; None for another one each time.
    """

    def __init__(self, client: Client, model: Starter, seed: int | None = None) -> None:
        bundle = starter.read(model)
        self._client = client
        self._path = f"/v2/models/{model}/infer"
        self._images = unpack(bundle.held_out or b"", bundle.manifest.inputs)["input"]
        self._classes = load(bundle.folded, optimize=True)({"input": self._images})["logits"].argmax(1)
        self._generator = np.random.default_rng(seed)

    def send(self, noise: float) -> tuple[bool, str]:
        """Send one image.

        Args:
            noise: standard deviation of normal noise, where pixels are 0 to 1.

        Returns:
            whether it was answered as the clean image is, and by which version.

        Raises:
            NotReady, InvalidInput: it was not answered.
        """
        index = self._generator.integers(len(self._images))
        added = noise * self._generator.standard_normal(self._images[index].shape, np.float32)
        image = np.clip(self._images[index] + added, 0, 1, dtype=np.float32)
        tensor = {"name": "input", "datatype": "FP32", "shape": [1, *image.shape], "data": image.ravel().tolist()}
        answer = self._client.ask("POST", self._path, {"inputs": [tensor]})
        answered: NDArray[np.float64] = np.asarray(answer["outputs"][0]["data"])
        return bool(answered.argmax() == self._classes[index]), answer["model_version"]


def send(
    *,
    url: Annotated[str, Parameter(help="Of the service.")] = URL,
    model: Annotated[Starter, Parameter(help="Which starter.")] = "convnet",
    images: Annotated[int, Parameter(help="How many.")] = 1500,
    noise: Annotated[float, Parameter(help="Its standard deviation, where pixels are 0 to 1.")] = 0.0,
    seed: Annotated[int | None, Parameter(help="Of the order and the noise.")] = None,
    json: Annotated[bool, Parameter(help="Print the counts as a JSON object.")] = False,
) -> None:
    """Send images of digits to a starter model, and count how often noise changes the answer."""
    with closing(Client(url)) as client:
        answers = send_images(Camera(client, model, seed), images, noise)
    print(orjson.dumps(answers._asdict()).decode() if json else answers)


class Answers(NamedTuple):
    """Answers to images.

    Attributes:
        images: how many were answered.
        same: share of them that were answered as the clean image is.
        versions: that answered, oldest first.
    """

    images: int
    same: float
    versions: list[str]

    def __str__(self) -> str:
        by = " and ".join(self.versions)
        return f"{self.images:,} images: {self.same:.1%} answered as the clean image is, by version {by}"


def send_images(camera: Camera, images: int, noise: float) -> Answers:
    """Send images, with progress on the terminal."""
    answers = []
    with ProgressLine("traffic") as progress:
        for sent in range(images):
            progress(f"sending {images:,} images", sent / images)
            answers.append(camera.send(noise))
    share = sum(is_same for is_same, _ in answers) / max(1, len(answers))
    return Answers(len(answers), share, sorted({version for _, version in answers}, key=int))

"""Tensors that an ONNX file keeps in other files: loaded at import, so that a bundle has all that it needs.

A path in a file is somebody else's: only regular files inside the folder of the ONNX file are read, and no link is
followed.
"""

from pathlib import Path, PurePosixPath

import onnx

from models.errors import ExternalData
from models.graph.load import external_tensors
from models.graph.weights import take_in
from models.repository.bundle import MAX_FILE_BYTES
from models.repository.files import read_file


def load_external_data(model: onnx.ModelProto, folder: Path, max_bytes: int = MAX_FILE_BYTES) -> None:
    """Store the tensors of other files in the model itself.

    Args:
        model: changed.
        folder: of the ONNX file.
        max_bytes: of all tensors together.

    Raises:
        ExternalData: a file is outside of the folder, a link, missing, or shorter than the model says; or the tensors
            take more bytes than are allowed.
    """
    files: dict[str, bytes] = {}
    total = 0
    for tensor in external_tensors(model):
        location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
        if location not in files:
            files[location] = _read(folder, location, tensor.name, max_bytes)
        take_in(tensor, files)
        total += len(tensor.raw_data)
        if total > max_bytes:
            raise ExternalData(f"the tensors in other files take more than {max_bytes} bytes, which a bundle can hold")


def _read(folder: Path, location: str, tensor: str, max_bytes: int) -> bytes:
    parts = PurePosixPath(location).parts
    if not parts or location.startswith("/") or ".." in parts or "\\" in location or "\0" in location:
        raise ExternalData(f"tensor '{tensor}': its file {location!r} is not inside the folder of the ONNX file")
    path = folder
    for part in parts[:-1]:
        path /= part
        if path.is_symlink():
            raise ExternalData(f"tensor '{tensor}': '{part}' in the path of its file {location!r} is a link")
    try:
        return read_file(path / parts[-1], max_bytes)
    except OSError as error:
        raise ExternalData(f"tensor '{tensor}': its file {location!r} cannot be read: {error.strerror}") from error

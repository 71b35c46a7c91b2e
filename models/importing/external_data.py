"""Tensors that an ONNX file keeps in other files: copied at import, so that a bundle has all that it needs.

A path in a file is somebody else's: only regular files inside the folder of the ONNX file are read, and no link is
followed.
"""

import os
from pathlib import Path, PurePosixPath

import onnx

from models.errors import ExternalData
from models.graph.load import external_tensors
from models.graph.weights import copy_content, find_content, location, take_in
from models.repository.bundle import MAX_WEIGHTS_BYTES
from models.repository.files import open_file
from models.stored_graph import Content, Weights


def copy_external_data(model: onnx.ModelProto, folder: Path, max_bytes: int = MAX_WEIGHTS_BYTES) -> Weights:
    """Copy the files that tensors of a model are in.

    Args:
        model: changed: tensors that are not initializers of its main graph are stored in the model itself.
        folder: of the ONNX file.
        max_bytes: of a file, and of all tensors together.

    Returns:
        The files' contents by location.

    Raises:
        ExternalData: a file is outside of the folder, a link of either kind, missing, or shorter than the model says;
            or the tensors take more bytes than are allowed.
    """
    files: dict[str, Content] = {}
    total = 0
    for tensor in external_tensors(model):
        name = location(tensor)
        if name not in files:
            files[name] = _copy(folder, name, tensor.name, max_bytes)
        total += len(find_content(tensor, files))
        if total > max_bytes:
            raise ExternalData(f"the tensors in other files take more than {max_bytes} bytes, which a bundle can hold")
    for tensor in external_tensors(model, nested=True):
        take_in(tensor, files)
    return files


def _copy(folder: Path, name: str, tensor: str, max_bytes: int) -> Content:
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\\" in name or "\0" in name:
        raise ExternalData(f"tensor '{tensor}': its file {name!r} is not inside the folder of the ONNX file")
    path = folder
    for part in parts[:-1]:
        path /= part
        if path.is_symlink():
            raise ExternalData(f"tensor '{tensor}': '{part}' in the path of its file {name!r} is a link")
    try:
        with open_file(path / parts[-1], max_bytes) as file:
            if os.fstat(file.fileno()).st_nlink > 1:
                raise ExternalData(
                    f"tensor '{tensor}': its file {name!r} is a hard link, perhaps to a file outside of the folder: "
                    "put a copy in its place"
                )
            return copy_content(file)
    except OSError as error:
        raise ExternalData(f"tensor '{tensor}': its file {name!r} cannot be read: {error.strerror}") from error

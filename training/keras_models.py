"""A ``.keras`` file -> the graph that Keras exports of it. Needs Keras, unlike `models.importing.keras_file`."""

import os
import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnx

from models.errors import GraphError, InvalidInput
from models.importing.onnx import read
from models.stored_graph import Weights


def export(path: Path) -> tuple[onnx.ModelProto, Weights]:
    """Load a model and export it by Keras' backend, which is torch unless KERAS_BACKEND is set.

    Returns:
        The graph, and the files that its weights are in.

    The layers of batch normalisation are arithmetic in this graph: `models.importing.restore` puts them back.

    Raises:
        InvalidInput: the file is not one of Keras, or needs code that is not registered. No code in it is run.
        GraphError: Keras cannot export the model.
    """
    # Before Keras is imported, which would look for TensorFlow.
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras  # noqa: PLC0415

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model = keras.saving.load_model(path, compile=False, safe_mode=True)
        except (ValueError, TypeError, OSError, ImportError) as error:
            raise InvalidInput(f"{path} cannot be loaded by Keras {keras.__version__}: {_first_line(error)}") from error
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "model.onnx"
            try:
                # A model must have been called before its export.
                model([np.zeros([1 if size is None else size for size in x.shape], x.dtype) for x in model.inputs])
                model.export(target, format="onnx", verbose=False)
            except Exception as error:  # backends raise what they come across
                reason = _first_line(error)
                backend = keras.backend.backend()
                raise GraphError(f"Keras cannot export {path} by its {backend} backend: {reason}") from error
            return read(target)


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)

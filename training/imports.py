"""What `import` takes -> a bundle: a file, or a function that builds a torch network. Only the latter needs torch."""

# ruff: noqa: PLC0415

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from models.errors import InvalidInput
from models.graph.load import serialize
from models.importing import keras_file, onnx, state_dict
from models.importing.trained import TrainedParameters
from models.manifest import ImagePreprocessing
from models.model_info import ModelInfo
from models.progress import Progress, part_of, silent
from models.repository.bundle import Bundle
from models.runtime.specs import specs
from models.stored_graph import join
from models.validation import describe, field_of
from training import row_files


@dataclass(frozen=True)
class Import:
    """The arguments of an import.

    Attributes:
        source: an ONNX file, a ``.keras`` file, or ``package.module:function``.
        info: what is known of the model besides.
        reference: file or folder of rows that the network was not trained on, as `row_files.read` takes it.
        tolerance: as `models.importing.onnx.import_graph`.
        state_dict: .safetensors or .keras file of the network that an ONNX file was exported from.
        weights: .safetensors file for the network that the function builds.
        input_shape: of one row of its only input, where the function does not return example inputs.
        progress: of the import.
    """

    source: str
    info: ModelInfo
    reference: Path | None = None
    tolerance: float | None = None
    state_dict: Path | None = None
    weights: Path | None = None
    input_shape: Sequence[int] = ()
    progress: Progress = silent

    def make_bundle(self) -> Bundle:
        """Read the source and make its bundle.

        Raises:
            InvalidInput: the source, another file or an argument is wrong.
            GraphError: the network cannot be exported or served; the message says why.
        """
        self.progress(f"reading {self.source}", 0.0)
        return self._from_function() if self._is_function else self._from_file(Path(self.source))

    @property
    def _is_function(self) -> bool:
        module, separator, function = self.source.partition(":")
        names = (*module.split("."), function)
        return bool(separator) and all(name.isidentifier() for name in names) and not Path(self.source).exists()

    def _from_file(self, path: Path) -> Bundle:
        for field, given in (("weights", self.weights), ("input-shape", self.input_shape)):
            if given:
                raise InvalidInput("only a network that a function builds (package.module:function) takes it", field)
        if path.suffix == ".keras":
            from training import keras_models

            self._refuse_state_dict()
            trained: TrainedParameters | None = keras_file.read(path)
            source, weights = keras_models.export(path)
        else:
            trained = None if self.state_dict is None else _read_trained(self.state_dict)
            source, weights = onnx.read(path)
        rows = None
        if self.reference is not None:
            inputs, _ = specs(join(serialize(source), weights))
            rows = row_files.read(self.reference, "reference", inputs, self.info.preprocessing)
        progress = part_of(self.progress, 0.2, 1.0)
        return onnx.import_graph(
            source, self.info, rows, self.tolerance, trained=trained, weights=weights, progress=progress
        )

    def _refuse_state_dict(self) -> None:
        if self.state_dict is not None:
            raise InvalidInput("only an ONNX file takes it: the others have their parameters", "state-dict")

    def _from_function(self) -> Bundle:
        import torch

        from training import user_networks
        from training.publishing import make_bundle

        self._refuse_state_dict()
        network, inputs = user_networks.build(self.source)
        if self.weights is not None:
            user_networks.load_weights(network, self.weights)
        rows = None if self.reference is None else row_files.load(self.reference, "reference")
        if inputs is None and self.input_shape:
            inputs = torch.randn(2, *self.input_shape, generator=torch.Generator().manual_seed(0))
        if inputs is None and rows is not None:
            inputs = (
                {name: torch.from_numpy(values[:2]) for name, values in rows.items()}
                if isinstance(rows, dict)
                else torch.from_numpy(rows[:2])
            )
        if inputs is None:
            raise InvalidInput(
                f"the shape of the network's input is not known: have {self.source} return the network and its example "
                "inputs, or give --input-shape 3,224,224 or --reference"
            )
        progress = part_of(self.progress, 0.4, 1.0)
        return make_bundle(network, inputs, self.info, rows, tolerance=self.tolerance, progress=progress)


def _read_trained(path: Path) -> TrainedParameters:
    return keras_file.read(path) if path.suffix == ".keras" else state_dict.read(path)


def read_preprocessing(path: Path) -> ImagePreprocessing:
    """The preprocessing in a JSON file.

    Raises:
        InvalidInput: it cannot be read, or says something else.
    """
    try:
        return ImagePreprocessing.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}", "preprocessing") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InvalidInput(f"{path}: {field_of(first)}: {describe(first)}", "preprocessing") from error


def parse_shape(text: str) -> tuple[int, ...]:
    """Sizes separated by commas.

    Raises:
        InvalidInput: one is no positive number.
    """
    sizes = [size.strip() for size in text.split(",")] if text else []
    if any(not size.isdigit() or not int(size) for size in sizes):
        raise InvalidInput(f"'{text}' is no shape of a row, e.g. 3,224,224", "input-shape")
    return tuple(map(int, sizes))

"""Which program wrote an ONNX file, and how to call it so that normalisation layers stay in the graph."""

import onnx

_PUBLISH = "or publish the network itself: from training import publish; publish(module, example_inputs, name=...)"
_STATE_DICT = "or give the weights that it was exported from: --state-dict net.safetensors"

_KERAS = "save the model by Keras as model.keras, and import this file or give it: --state-dict model.keras"

_TF2ONNX = (
    "python -c \"import tf2onnx.optimizer as o; del o._optimizers['remove_back_to_back']; import tf2onnx.convert as c; "
    'c.main()" --saved-model folder --output network.onnx'
)
"""Without the step that merges; tf2onnx has no option for it."""

_DYNAMO = (
    "torch.onnx.export(module.eval(), args, path, dynamo=True, optimize=False, external_data=False, "
    'dynamic_shapes=({0: "batch"},))'
)
_TORCHSCRIPT = (
    "torch.onnx.export(module.eval(), args, path, dynamo=False, training=torch.onnx.TrainingMode.PRESERVE, "
    'do_constant_folding=False, input_names=["x"], dynamic_axes={"x": {0: "batch"}})'
)


def can_have_merged(model: onnx.ModelProto) -> bool:
    """Whether the exporter may have merged normalisation layers into others: scikit-learn has none."""
    return str(model.producer_name) != "skl2onnx"


def advice(model: onnx.ModelProto) -> str:
    """What to do about a file whose layers were merged, for the exporter that wrote it."""
    match model.producer_name:
        case "pytorch" if _is_dynamo(model):
            return f"export it again by {_DYNAMO}, {_STATE_DICT}, {_PUBLISH}"
        case "pytorch" if is_keras(model):
            return _KERAS
        case "pytorch":
            return f"export it again by {_TORCHSCRIPT}, {_STATE_DICT}, {_PUBLISH}"
        case "tf2onnx":
            return f"{_KERAS}, or convert a SavedModel again by {_TF2ONNX}"
    return (
        f"export it again without optimisation, from torch by {_DYNAMO} or by {_TORCHSCRIPT}, "
        f"{_STATE_DICT} (or model.keras), {_PUBLISH}"
    )


def _is_dynamo(model: onnx.ModelProto) -> bool:
    parts = (model.graph, *model.graph.node)
    return any(entry.key.startswith("pkg.torch") for part in parts for entry in part.metadata_props)


def is_keras(model: onnx.ModelProto) -> bool:
    """Whether Keras exported the model, by any backend."""
    return any(value.name.startswith("keras_tensor") for value in model.graph.input)

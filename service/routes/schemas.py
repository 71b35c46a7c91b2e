"""JSON schemas of the bodies that are read and written without pydantic, since they hold arrays."""

from typing import Any

Schema = dict[str, Any]

_ARRAY: Schema = {"type": "array", "items": {}}


def _tensor(**members: Schema) -> Schema:
    return {
        "type": "object",
        "required": ["name", "datatype", "shape"],
        "properties": {
            "name": {"type": "string"},
            "datatype": {"type": "string", "examples": ["FP32"]},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
            **members,
        },
    }


_BINARY_DATA_SIZE: Schema = {
    "type": "integer",
    "minimum": 0,
    "description": "Bytes of the tensor behind the JSON part, in place of `data`.",
}

INFERENCE_REQUEST: Schema = {
    "title": "InferenceRequest",
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": {"type": ["string", "null"], "description": "Repeated in the response."},
        "parameters": {
            "type": "object",
            "properties": {
                "layer_statistics": {
                    "type": "boolean",
                    "default": False,
                    "description": "Adds the outputs `drift_score`, how unusual each row is (1 in 100 held-out rows "
                    "has more than 1), and `drift_layer`, the layer that finds it most unusual.",
                },
                "binary_data_output": {
                    "type": "boolean",
                    "default": False,
                    "description": "Outputs follow the JSON part as bytes, unless an output says otherwise.",
                },
                "priority": {
                    "type": "integer",
                    "minimum": 0,
                    "default": 0,
                    "description": "1 is the highest, 0 the lowest.",
                },
                "timeout": {
                    "type": "integer",
                    "minimum": 0,
                    "default": 0,
                    "description": "Microseconds that the request may wait for its run; 0 for no limit.",
                },
            },
        },
        "inputs": {
            "type": "array",
            "minItems": 1,
            "items": _tensor(
                parameters={"type": "object", "properties": {"binary_data_size": _BINARY_DATA_SIZE}},
                data={**_ARRAY, "description": "Nested, or flat in row-major order."},
            ),
        },
        "outputs": {
            "type": ["array", "null"],
            "description": "The outputs to return. All of them if absent or empty.",
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string"},
                    "parameters": {
                        "type": "object",
                        "properties": {
                            "binary_data": {"type": "boolean", "description": "As bytes behind the JSON part."},
                            "classification": {
                                "type": "integer",
                                "minimum": 1,
                                "description": "Return this many best classes of each row instead of the tensor.",
                            },
                        },
                    },
                },
            },
        },
    },
}

INFERENCE_RESPONSE: Schema = {
    "title": "InferenceResponse",
    "type": "object",
    "required": ["model_name", "model_version", "outputs"],
    "properties": {
        "model_name": {"type": "string"},
        "model_version": {"type": "string"},
        "id": {"type": "string", "description": "Of the request, if it has one."},
        "parameters": {
            "type": "object",
            "properties": {
                "row_versions": {
                    "type": "string",
                    "description": "Only of a model with domains: the version that has answered each row, as `1,2,1`.",
                }
            },
        },
        "outputs": {
            "type": "array",
            "items": _tensor(
                parameters={"type": "object", "properties": {"binary_data_size": _BINARY_DATA_SIZE}},
                data={
                    **_ARRAY,
                    "description": "Flat, in row-major order. NaN and infinities are null: binary has them.",
                },
            ),
        },
    },
}

_SIGNATURE_NAME: Schema = {
    "type": "string",
    "default": "serving_default",
    "description": "`serving_default`: a model has one signature.",
}

PREDICT_REQUEST: Schema = {
    "title": "PredictRequest",
    "type": "object",
    "oneOf": [{"required": ["instances"]}, {"required": ["inputs"]}],
    "properties": {
        "signature_name": _SIGNATURE_NAME,
        "instances": {
            **_ARRAY,
            "minItems": 1,
            "description": "Rows: the input of one row each, or an object with all inputs of the row by name. "
            'Where the model has preprocessing, `{"b64": ...}` stands for an image file.',
        },
        "inputs": {
            "type": ["array", "object"],
            "description": "Columns: the input for all rows, or an object with each input for all rows by name. "
            "Images as in `instances`.",
        },
    },
}

PREDICT_RESPONSE: Schema = {
    "title": "PredictResponse",
    "type": "object",
    "oneOf": [{"required": ["predictions"]}, {"required": ["outputs"]}],
    "properties": {
        "predictions": {**_ARRAY, "description": "One item per row, for a request with `instances`."},
        "outputs": {"type": ["array", "object"], "description": "Columns, for a request with `inputs`."},
    },
}

EXAMPLES_REQUEST: Schema = {
    "title": "ExamplesRequest",
    "type": "object",
    "required": ["examples"],
    "properties": {
        "signature_name": _SIGNATURE_NAME,
        "context": {"type": "object", "description": "Features that all examples share, by name."},
        "examples": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "object"},
            "description": "The features of each example by name: a value, or a flat list of them, for each input.",
        },
    },
}

EXAMPLES_RESPONSE: Schema = {
    "title": "ExamplesResponse",
    "type": "object",
    "required": ["results"],
    "properties": {"results": {**_ARRAY, "description": "One item per example."}},
}

_BATCH: Schema = {**_ARRAY, "description": "Mini-batch of shape (N, C, ...) as nested lists."}
_CHANNELS: Schema = {"type": "array", "items": {"type": "number"}}
_STATISTICS: Schema = {
    "enum": ["batch", "running"],
    "default": "batch",
    "description": "Normalise with the statistics of the batch, as in training, or with the running ones, as in "
    "inference.",
}

NORMALIZE_REQUEST: Schema = {
    "title": "NormalizeRequest",
    "type": "object",
    "required": ["data"],
    "additionalProperties": False,
    "properties": {
        "data": _BATCH,
        "statistics": _STATISTICS,
        "convention": {
            "enum": ["torch", "keras"],
            "default": "torch",
            "description": "torch: channels on axis 1, eps 1e-5, momentum 0.1 is the fraction replaced, variance "
            "unbiased. keras: channels last, eps 1e-3, momentum 0.99 is the fraction kept, variance biased.",
        },
        "axis": {"type": "integer", "description": "Axis of the channels. The convention's axis if absent."},
        "gamma": {**_CHANNELS, "description": "Scale of each channel. 1 if absent."},
        "beta": {**_CHANNELS, "description": "Shift of each channel. 0 if absent."},
        "running_mean": {**_CHANNELS, "description": "0 if absent, as in a new layer."},
        "running_var": {**_CHANNELS, "description": "1 if absent, as in a new layer."},
        "eps": {"type": "number", "exclusiveMinimum": 0, "description": "Added to the variance before its root."},
        "momentum": {"type": "number", "minimum": 0, "maximum": 1, "description": "In the convention's meaning."},
    },
}

LAYER_NORMALIZE_REQUEST: Schema = {
    "title": "LayerNormalizeRequest",
    "type": "object",
    "required": ["data"],
    "additionalProperties": False,
    "properties": {
        "data": _BATCH,
        "statistics": {**_STATISTICS, "default": "running"},
        "axis": {"type": "integer", "default": 1, "description": "Axis of the channels."},
    },
}

NORMALIZE_RESPONSE: Schema = {
    "title": "NormalizeResponse",
    "type": "object",
    "required": ["statistics", "data"],
    "properties": {
        "statistics": {"enum": ["batch", "running"]},
        "batch": {
            "type": "object",
            "required": ["count", "mean", "variance"],
            "properties": {
                "count": {"type": "integer", "description": "Values per channel."},
                "mean": _CHANNELS,
                "variance": {**_CHANNELS, "description": "Biased: divided by the count."},
            },
        },
        "running_mean": _CHANNELS,
        "running_var": _CHANNELS,
        "data": {**_ARRAY, "description": "As nested as in the request."},
    },
}

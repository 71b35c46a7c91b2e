"""Small Keras models with batch normalisation in unusual places, each a function without arguments."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import keras
from keras import Input, Model, layers

Build: TypeAlias = Callable[[], Model]
Tensor: TypeAlias = Any
"""A Keras tensor: Keras has no types."""

NETWORKS: dict[str, Build] = {}


def network(title: str) -> Callable[[Build], Build]:
    """Register a function under the title of its row."""

    def register(build: Build) -> Build:
        NETWORKS[title] = build
        return build

    return register


def _image(side: int = 12, channels: int = 3) -> Tensor:
    return Input((side, side, channels))


def _head(x: Tensor, units: int = 2) -> Tensor:
    return layers.Dense(units)(layers.GlobalAveragePooling2D()(x))


def _norm(x: Tensor, **settings: Any) -> Tensor:
    return layers.BatchNormalization(**settings)(x)


@network("branches that are added and joined, layers with names of their own")
def branches() -> Model:
    x = _image()
    left = _norm(layers.Conv2D(6, 3, padding="same")(x), name="left_norm", scale=False)
    right = _norm(layers.Conv2D(6, 1, use_bias=False)(x), name="right-norm.2")
    y = layers.ReLU()(layers.Add()([left, right]))
    pooled = layers.MaxPooling2D(3, 1, padding="same")(y)
    return Model(x, _head(layers.Concatenate()([y, _norm(pooled)])))


@network("one BN after two convolutions")
def shared() -> Model:
    x, norm = _image(), layers.BatchNormalization()
    outputs = [layers.ReLU()(norm(layers.Conv2D(5, 3)(x))) for _ in range(2)]
    pools = layers.GlobalAveragePooling2D(), layers.GlobalMaxPooling2D()
    return Model(x, layers.Dense(2)(layers.Concatenate()([pool(y) for pool, y in zip(pools, outputs, strict=True)])))


@network("BN over the first axis of an image")
def first_axis() -> Model:
    x = Input((6, 9, 4))
    y = _norm(layers.Conv2D(4, 3, padding="same", activation="relu")(x), axis=1)
    return Model(x, layers.Dense(2)(layers.Flatten()(y)))


@network("BN over the tokens behind a Dense")
def over_tokens() -> Model:
    x = Input((7, 5))
    return Model(x, layers.Dense(2)(layers.Flatten()(layers.ReLU()(_norm(layers.Dense(6)(x), axis=1)))))


@network("without scale, without shift, without both")
def without_parameters() -> Model:
    y = x = _image()
    for settings in ({"center": False}, {"scale": False}, {"center": False, "scale": False}):
        y = layers.ReLU()(_norm(layers.Conv2D(5, 3)(y), **settings))
    return Model(x, _head(y))


@network("models in models, with layers of the same name")
def nested() -> Model:
    def block(channels: int, units: int) -> Model:
        inner = Input((None, None, channels))
        y = _norm(layers.Conv2D(units, 3, padding="same", name="conv")(inner), name="norm")
        return Model(inner, layers.ReLU()(y), name=f"block{units}")

    x = _image(8)
    return Model(x, _head(block(5, 6)(keras.Sequential([block(3, 4), block(4, 5)], name="inner")(x))))


@network("a model that runs on its own output")
def repeated() -> Model:
    inner, x = Input((8,)), Input((8,))
    block = Model(inner, layers.ReLU()(_norm(layers.Dense(8)(inner))), name="block")
    return Model(x, layers.Dense(2)(layers.Add()([block(x), block(block(x))])))


@network("Dense, BN, GELU")
def dense() -> Model:
    y = x = Input((10,))
    for units, bias in ((16, True), (12, False), (8, True)):
        y = layers.Activation("gelu")(_norm(layers.Dense(units, use_bias=bias)(y)))
    return Model(x, layers.Dense(3, activation="softmax")(y))


@network("causal and dilated Conv1D")
def conv1d() -> Model:
    x = Input((20, 4))
    y = layers.ReLU()(_norm(layers.Conv1D(6, 3, padding="causal")(x)))
    y = layers.MaxPooling1D(2)(_norm(layers.Conv1D(6, 3, dilation_rate=2)(y)))
    return Model(x, layers.Dense(2)(layers.GlobalMaxPooling1D()(y)))


@network("DepthwiseConv2D of two multiples, SeparableConv2D")
def depthwise() -> Model:
    x = _image()
    y = layers.ReLU(6.0)(_norm(layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same")(x)))
    return Model(x, _head(layers.Activation("swish")(_norm(layers.SeparableConv2D(7, 3, use_bias=False)(y)))))


@network("SeparableConv1D, DepthwiseConv1D")
def separable1d() -> Model:
    x = Input((20, 4))
    y = _norm(layers.DepthwiseConv1D(3)(layers.ReLU()(_norm(layers.SeparableConv1D(6, 3)(x)))))
    return Model(x, layers.Dense(2)(layers.GlobalAveragePooling1D()(y)))


@network("Conv2DTranspose")
def transposed() -> Model:
    x = _image(6, 4)
    y = layers.ReLU()(_norm(layers.Conv2DTranspose(6, 3, strides=2, padding="same")(x)))
    y = layers.LeakyReLU(0.2)(_norm(layers.Conv2DTranspose(5, 4, strides=2, use_bias=False)(y)))
    return Model(x, layers.Conv2D(3, 1, activation="sigmoid")(y))


@network("Conv3D")
def conv3d() -> Model:
    x = Input((6, 6, 6, 2))
    y = layers.ReLU()(_norm(layers.Conv3D(4, 3)(x)))
    return Model(x, layers.Dense(2)(layers.GlobalAveragePooling3D()(y)))


@network("GroupNormalization and LayerNormalization beside BN")
def other_norms() -> Model:
    x = _image(10, 4)
    y = layers.ReLU()(layers.GroupNormalization(2)(layers.Conv2D(8, 3)(x)))
    return Model(x, _head(layers.LayerNormalization()(_norm(layers.Conv2D(8, 3)(y)))))


@network("Rescaling and Normalization before")
def preprocessing() -> Model:
    x = _image(16)
    y = layers.Normalization(mean=[0.4, 0.5, 0.6], variance=[0.1, 0.2, 0.3])(layers.Rescaling(1 / 255, offset=-0.1)(x))
    return Model(x, _head(layers.ReLU()(_norm(layers.Conv2D(6, 3)(layers.ZeroPadding2D(1)(y))))))


@network("CenterCrop before, which switches BN to training")
def cropping() -> Model:
    x = _image(16)
    return Model(x, _head(layers.ReLU()(_norm(layers.Conv2D(6, 3)(layers.CenterCrop(12, 12)(x))))))


@network("the same, called with training=False")
def cropping_called() -> Model:
    model = cropping()
    return Model(model.inputs, model(model.inputs, training=False))


@network("augmentation before")
def augmentation() -> Model:
    x = _image(16)
    y = layers.GaussianNoise(0.1)(layers.RandomFlip()(layers.RandomRotation(0.1)(x)))
    return Model(x, _head(layers.SpatialDropout2D(0.2)(layers.ReLU()(_norm(layers.Conv2D(6, 3)(y))))))


@network("mixed precision, float16")
def mixed_precision() -> Model:
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        x = _image()
        y = layers.ReLU()(_norm(layers.Conv2D(6, 3)(x)))
        y = layers.ReLU()(_norm(layers.Conv2D(6, 3, padding="same")(y)))
        return Model(x, layers.Dense(2, dtype="float32")(layers.GlobalAveragePooling2D()(y)))
    finally:
        keras.mixed_precision.set_global_policy("float32")


@network("synchronized BN, other momentum and epsilon")
def synchronized() -> Model:
    x = _image()
    return Model(x, _head(layers.ReLU()(_norm(layers.Conv2D(6, 3)(x), synchronized=True, momentum=0.9, epsilon=1e-5))))


@network("TimeDistributed over four images")
def time_distributed() -> Model:
    x = Input((4, 10, 10, 3))
    y = layers.TimeDistributed(layers.BatchNormalization())(layers.TimeDistributed(layers.Conv2D(5, 3))(x))
    y = layers.TimeDistributed(layers.GlobalAveragePooling2D())(layers.ReLU()(y))
    return Model(x, layers.Dense(2)(layers.GlobalAveragePooling1D()(y)))


@network("before LSTM and before GRU")
def recurrent() -> Model:
    x = Input((8, 5))
    y = layers.LSTM(6, return_sequences=True)(_norm(x))
    return Model(x, layers.Dense(2)(layers.GRU(4)(_norm(y))))


@network("the first layer, behind Flatten, and the last")
def at_the_ends() -> Model:
    x = _image(10)
    y = layers.Conv2D(6, 3, padding="same", activation="relu")(_norm(x))
    return Model(x, _norm(layers.Dense(3)(_norm(layers.Flatten()(layers.AveragePooling2D(2)(y))))))


@network("two inputs, two outputs by name, a gate")
def several() -> Model:
    image, facts = Input((10, 10, 3), name="image"), Input((4,), name="facts")
    gate = layers.Reshape((1, 1, 6))(layers.Activation("sigmoid")(_norm(layers.Dense(6)(facts))))
    y = layers.Multiply()([layers.ReLU()(_norm(layers.Conv2D(6, 3)(image))), gate])
    y = layers.GlobalAveragePooling2D()(y)
    return Model([image, facts], {"score": layers.Dense(1, name="s")(y), "class": layers.Dense(3, name="c")(y)})


@network("MultiHeadAttention")
def attention() -> Model:
    x = Input((6, 8))
    y = _norm(layers.Add()([x, layers.MultiHeadAttention(2, 4)(x, x)]))
    return Model(x, layers.Dense(2)(layers.GlobalAveragePooling1D()(layers.ReLU()(_norm(layers.Dense(8)(y))))))


@network("BN after BN")
def twice() -> Model:
    x = _image(10)
    y = _norm(_norm(layers.Conv2D(6, 3)(x), momentum=0.8), momentum=0.5, epsilon=0.1)
    return Model(x, _head(layers.ReLU()(y)))


@network("pre-activation blocks")
def pre_activation() -> Model:
    x = _image(10, 4)
    y = layers.Conv2D(6, 3, padding="same")(x)
    for _ in range(2):
        branch = layers.Conv2D(6, 1)(layers.ReLU()(_norm(y)))
        y = layers.Add()([y, layers.Conv2D(6, 3, padding="same")(layers.ReLU()(_norm(branch)))])
    return Model(x, _head(layers.ReLU()(_norm(y))))


@network("grouped Conv2D, UpSampling2D, Cropping2D")
def grouped() -> Model:
    x = _image(10, 4)
    y = layers.ReLU()(_norm(layers.Conv2D(8, 3, groups=2)(x)))
    return Model(
        x, layers.Dense(2)(layers.GlobalMaxPooling2D()(_norm(layers.Cropping2D(1)(layers.UpSampling2D(2)(y)))))
    )


@network("PReLU, ELU, UnitNormalization")
def activations() -> Model:
    x = _image(10, 4)
    y = layers.PReLU(shared_axes=[1, 2])(_norm(layers.Conv2D(8, 3)(x)))
    return Model(x, layers.UnitNormalization()(_head(layers.ELU()(_norm(layers.Conv2D(8, 3)(y))), 4)))


@network("Sequential, tanh, Flatten")
def sequential() -> Model:
    convolution = [Input((8, 8, 1)), layers.Conv2D(4, 3), layers.BatchNormalization(), layers.Activation("tanh")]
    head = [layers.Dense(5), layers.BatchNormalization(), layers.Activation("relu"), layers.Dense(2)]
    return keras.Sequential([*convolution, layers.Flatten(), *head])


@network("keras.ops between layers")
def operations() -> Model:
    x = _image(8)
    y = keras.ops.relu(_norm(layers.Conv2D(4, 3)(x))) * 2.0 - 0.5
    y = _norm(keras.ops.concatenate([y, keras.ops.flip(y, 1)], -1) + 1.0)
    return Model(x, layers.Dense(2)(keras.ops.mean(y, (1, 2))))


@keras.saving.register_keras_serializable()
class Own(Model):  # type: ignore[misc] # Keras has no types
    """A class whose file does not describe its layers."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.convolution, self.norm, self.head = layers.Conv2D(4, 3), layers.BatchNormalization(), layers.Dense(2)

    def call(self, x: Tensor) -> Tensor:
        return self.head(keras.ops.mean(keras.ops.relu(self.norm(self.convolution(x))), (1, 2)))


@network("a class of the user's own")
def own() -> Model:
    model = Own()
    model(keras.ops.zeros((1, 8, 8, 3)))
    return model


def input_shapes(model: Model) -> Sequence[tuple[int, ...]]:
    """Of one row of each input."""
    return [tensor.shape[1:] for tensor in getattr(model, "inputs", None) or ()] or [(8, 8, 3)]

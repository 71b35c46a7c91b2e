"""How images and texts become rows of the input, and how a generator's rows become images."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from models.manifest.record import Channels, Record


class ImagePreprocessing(Record):
    """How an image becomes one row of the input: ``(pixel * scale - mean) / std``, channels first."""

    mode: Literal["grey", "rgb"]
    height: int = Field(gt=0)
    width: int = Field(gt=0)
    scale: float = Field(description="factor of the pixel values, which are 0 to 255, e.g. 1/255")
    mean: Channels = Field(description="subtracted per colour channel, after scaling")
    std: Channels = Field(description="divided by per colour channel, after scaling")

    @model_validator(mode="after")
    def _one_number_per_channel(self) -> "ImagePreprocessing":
        channels = {"grey": 1, "rgb": 3}[self.mode]
        if len(self.mean) != channels or len(self.std) != channels:
            raise ValueError(f"mode '{self.mode}' needs {channels} values each of mean and std")
        if any(value <= 0 for value in self.std):
            raise ValueError("std must be positive")
        return self


Token = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class Tokenization(Record):
    """How a text becomes one row of the input: the indices of its tokens, repeated up to `max_tokens`.

    `models.tokenization` splits a text into tokens.
    """

    max_tokens: int = Field(gt=0, le=1024, description="of a text; longer ones are refused")
    vocabulary: tuple[Token, ...] = Field(
        min_length=1,
        max_length=1 << 17,
        description="tokens by index, from 1: index 0 stands for every other token",
    )

    @model_validator(mode="after")
    def _tokens_are_distinct(self) -> "Tokenization":
        if len(set(self.vocabulary)) != len(self.vocabulary):
            raise ValueError("vocabulary: a token is there twice")
        return self


class Generation(Record):
    """How a generator's input is drawn, and how a row of its first output becomes an image.

    A row of the input is noise, standard normal numbers. In a conditional model as many numbers as there are classes
    follow: 1 for the class of the image, 0 for the others. `models.generation` draws them.
    """

    classes: tuple[str, ...] = Field(
        default=(), description="names of the classes that an image can be of; none if the model is not conditional"
    )
    image: ImagePreprocessing = Field(
        description="of the images: a value of the output is (pixel * scale - mean) / std, as in an input"
    )

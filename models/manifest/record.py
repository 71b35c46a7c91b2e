"""What all parts of the manifest are made of: the base of records, names, and numbers per channel."""

import re
from typing import Annotated

import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, StringConstraints

MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
"""Names are folder names and parts of URLs: no separators, no leading dot, at most 128 characters."""

ModelName = Annotated[str, StringConstraints(pattern=rf"^{MODEL_NAME.pattern}$")]

Channels = tuple[float, ...]
"""One number per channel, shape (C,)."""


class Record(BaseModel):
    """Base of all parts: immutable. Unknown fields are errors, and so are numbers that JSON cannot hold."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)


def channels(values: NDArray[np.floating]) -> Channels:
    """Numbers per channel as the manifest has them: the shortest digits that give back the same bits."""
    return tuple(orjson.loads(orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY)))

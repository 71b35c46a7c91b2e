"""The messages of `open_inference.proto`, from its compiled form.

They are in a pool of their own. In protobuf's default pool, Triton's and KServe's clients have messages of the same
names, and only the first that a process imports would load.
"""

from importlib.resources import files
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import ParseDict
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from pydantic import BaseModel

from models.errors import InvalidInput, TooLarge

PACKAGE = "inference"
SERVICE = f"{PACKAGE}.GRPCInferenceService"

MAX_BYTES = 1 << 16
"""Largest message that is built; predictions are read in another way."""

pool = DescriptorPool()
"""Has the files of every service of the server."""

for _file in FileDescriptorSet.FromString(files(__package__).joinpath("open_inference.binpb").read_bytes()).file:
    pool.Add(_file)


def message_class(name: str) -> Any:
    """The class of a message."""
    return GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))


def parse(name: str, body: bytes) -> Any:
    """The message in a request.

    Raises:
        TooLarge: it has more than `MAX_BYTES`.
        InvalidInput: the bytes are no message of this kind.
    """
    if len(body) > MAX_BYTES:
        raise TooLarge(f"got {len(body)} bytes, at most {MAX_BYTES} are read", "body")
    try:
        return message_class(name).FromString(body)
    except DecodeError as error:
        raise InvalidInput(f"expected a message {PACKAGE}.{name}: {error}", "body") from None


def from_response(name: str, response: BaseModel) -> Message:
    """The message that says what a response of HTTP says, whose members have the names of the message's fields."""
    message: Message = ParseDict(
        response.model_dump(mode="json"), message_class(name)(), ignore_unknown_fields=True, descriptor_pool=pool
    )
    return message

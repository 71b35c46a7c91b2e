"""Values of the store with the version of their schema, so that two releases may share a store."""

from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError


def pack(schema: int, payload: bytes) -> bytes:
    """Returns a value for the store.

    Args:
        schema: version of the payload's schema.
        payload: encoded by it.
    """
    return b"%d:%b" % (schema, payload)


def unpack(schema: int, value: bytes | None) -> bytes | None:
    """Returns the payload of a value; None where there is no value, or another release has written another schema."""
    if value is None:
        return None
    found, separator, payload = value.partition(b":")
    return payload if separator and found == b"%d" % schema else None


class StoredModel(BaseModel):
    """A value that is one JSON object.

    Attributes:
        SCHEMA: version of its schema.
    """

    model_config = ConfigDict(frozen=True, defer_build=True)

    SCHEMA: ClassVar[int] = 1

    def to_value(self) -> bytes:
        """Returns the value that the store holds."""
        return pack(self.SCHEMA, self.model_dump_json().encode())

    @classmethod
    def from_value(cls, value: bytes | None) -> Self | None:
        """Returns what `to_value` wrote; None for no value, or one of another release."""
        payload = unpack(cls.SCHEMA, value)
        try:
            return None if payload is None else cls.model_validate_json(payload)
        except ValidationError:
            return None

"""Values of the store with the version of their schema, so that two releases may share a store."""


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

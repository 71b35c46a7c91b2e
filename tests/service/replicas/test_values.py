"""Values of another release are ignored."""

from service.replicas.values import pack, unpack


def test_a_payload_is_read_by_its_own_schema_only() -> None:
    assert unpack(2, pack(2, b"1:a\x00")) == b"1:a\x00"
    assert unpack(1, pack(2, b"a")) is None
    assert unpack(1, pack(12, b"a")) is None
    assert unpack(1, b"something else") is None
    assert unpack(1, None) is None

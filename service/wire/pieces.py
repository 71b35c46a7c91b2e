"""How large bodies are worked on: in a thread, in pieces between which other threads get their turn.

One call of a parser keeps all other Python threads waiting, however long it takes.
"""

LARGE_BYTES = 1 << 16
"""From this length on, a body is large."""

INLINE_BYTES = 1 << 19
"""Up to this length, a body is decoded on the event loop: handing it to a thread takes as long. Its numbers are parsed
in one piece, if little else is in it that would become Python objects: that takes a millisecond or two."""

RAW_INLINE_BYTES = 1 << 22
"""The same for a body that has its numbers in binary: whether they are finite is known in a millisecond."""

PIECE_BYTES = 1 << 16
"""Bytes that one call parses or writes: half a millisecond. The system would give memory of its own to longer ones."""

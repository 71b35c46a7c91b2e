"""How large bodies are worked on: in a thread, in pieces between which other threads get their turn.

One call of a parser keeps all other Python threads waiting, however long it takes.
"""

LARGE_BYTES = 1 << 16
"""From this length on, a body is large."""

PIECE_BYTES = 1 << 16
"""Bytes that one call parses or writes: half a millisecond. The system would give memory of its own to longer ones."""

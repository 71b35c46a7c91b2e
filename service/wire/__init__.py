"""Bodies to arrays and back: pure functions, one protocol a file."""

"""8-bit versions: convolutions and linear layers that compute with integers, and the proof that it pays."""

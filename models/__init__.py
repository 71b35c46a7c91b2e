"""What a served model is, on disk and in arithmetic. No torch, no web framework."""

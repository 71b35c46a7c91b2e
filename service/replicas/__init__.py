"""Other processes that serve the same models."""

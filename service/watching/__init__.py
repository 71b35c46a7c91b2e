"""What the layers meet, and who is told."""

"""The true classes of rows that were answered."""

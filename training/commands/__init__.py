"""The commands of `python -m training`. What one runs is imported when it runs; most work without torch."""

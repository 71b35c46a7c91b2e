"""How accurate a version is on rows without labels."""

"""New statistics for the normalisation layers from unlabelled rows."""

"""Builds, trains, measures and exports batch-normalised networks. The only room with torch."""

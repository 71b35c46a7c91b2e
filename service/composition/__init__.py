"""Pieces of the composition root: what it builds of several parts, or only where it is asked for."""

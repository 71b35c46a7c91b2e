"""Predictions below HTTP: from a request to an answer."""

"""Formats of request and response bodies: bytes to arrays and back. Pure functions, one format a module."""

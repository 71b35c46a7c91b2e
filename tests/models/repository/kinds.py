"""Tests of what holds for every kind of repository."""

import pytest

in_each_kind = pytest.mark.parametrize("repository", ["folder", "bucket"], indirect=True)
"""In a folder, and in a bucket of a real S3 endpoint."""

in_each_kind_of_storage = pytest.mark.parametrize("repository", ["folder", "memory"], indirect=True)
"""In a folder, and in a bucket in memory, where a test makes many requests."""

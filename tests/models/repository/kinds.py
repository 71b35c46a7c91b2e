"""Tests of what holds for every kind of repository."""

import pytest

in_each_kind = pytest.mark.parametrize("repository", ["folder", "bucket"], indirect=True)

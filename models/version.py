"""The version of the installed distribution, and how Denge signs the bundles that it makes."""

from importlib import metadata

try:
    VERSION = metadata.version("denge")
except metadata.PackageNotFoundError:  # run from a checkout that was never installed
    VERSION = "unknown"

PROGRAM = f"denge {VERSION}"
"""For `models.manifest.Lineage.created_by`."""

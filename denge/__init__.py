"""The `denge` command, which the package installs: `denge serve`, `denge train` and the others."""

import service  # noqa: F401 - limits numpy's threads, before anything imports it

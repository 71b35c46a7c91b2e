"""The `denge` command, which the package installs: `denge serve`, `denge train` and the others."""

"""Names of environment variables."""

ENV_PREFIX = "DENGE_"
CONFIG_VARIABLE = "DENGE_CONFIG"

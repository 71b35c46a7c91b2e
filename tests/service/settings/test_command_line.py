"""Settings from the command line."""

import pytest

from service.settings import ConfigurationError
from service.settings.command_line import load


def test_the_value_of_a_switch_is_refused_with_how_to_write_it() -> None:
    with pytest.raises(ConfigurationError, match="'false' is not expected: a switch has no value"):
        load(["--starters", "false"])

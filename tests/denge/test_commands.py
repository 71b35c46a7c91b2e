"""What all commands of `denge` have in common."""

import pytest

from denge.__main__ import app

COMMANDS = sorted(name for name in app if not name.startswith("-"))


def test_the_commands_are_found() -> None:
    assert {"serve", "doctor", "demo", "traffic", "train", "import", "study"} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_can_print_json(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    app([command, "--help"])

    help_ = capsys.readouterr().out
    assert "--json" in help_
    assert "SecretStr" not in help_

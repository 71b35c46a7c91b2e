"""Flags of a settings class."""

from typing import Any, Literal

import pytest
from cyclopts import CycloptsError
from pydantic import BaseModel, Field, SecretStr

from service.host.flags import build_app


def two() -> int:
    """as many as the machine has"""
    return 2


class Example(BaseModel):
    max_rows: int = Field(32, description="Most rows, as <rows>.")
    watch: bool = Field(True, description="Whether to watch.")
    color: Literal["red", "green"] = Field("red", description="The colour.")
    token: SecretStr | None = Field(None, description="A token.")
    cores: int = Field(default_factory=two, description="Cores.")


def parse(*arguments: str) -> dict[str, Any] | None:
    app = build_app("example", "An example.", Example.model_fields, lambda given: given)
    found: dict[str, Any] | None = app(arguments, exit_on_error=False, print_error=False)
    return found


def test_only_flags_that_are_given_are_returned_and_values_stay_text() -> None:
    assert parse() == {}
    assert parse("--max-rows", "many", "--token=-secret") == {"max_rows": "many", "token": "-secret"}
    assert parse("--no-watch", "--color", "green") == {"watch": False, "color": "green"}
    assert parse("--watch") == {"watch": True}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--max-row", "1"], "Did you mean --max-rows?"),
        (["--color", "gren"], 'Did you mean "green"?'),
        (["--max-rows"], "requires an argument"),
        (["--max-rows", "1", "--max-rows", "2"], "multiple times"),
        (["word"], "word"),
    ],
)
def test_a_mistake_is_named_with_what_was_meant(given: list[str], words: str) -> None:
    with pytest.raises(CycloptsError) as raised:
        parse(*given)
    assert words in str(raised.value)


def test_the_help_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert parse("--help") is None

    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "--max-rows" in shown
    assert "Most rows, as <rows>. [default: 32]" in shown
    assert "Whether to watch. [default: yes]" in shown
    assert "[choices: red, green]" in shown
    assert "Cores. [default: as many as the machine has]" in shown
    assert "None" not in shown
    assert "SecretStr" not in shown

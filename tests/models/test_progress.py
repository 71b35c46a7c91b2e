"""How far a command has come, on standard error."""

import io

import pytest

from models.progress import ProgressLine, part_of


class Stream(io.StringIO):
    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__()
        self.is_terminal = is_terminal

    def isatty(self) -> bool:
        return self.is_terminal


def shown(*, is_terminal: bool, reports: list[tuple[float, str, float | None]]) -> str:
    """What is written for reports of (seconds since the start, step, share)."""
    stream, seconds = Stream(is_terminal=is_terminal), [0.0]
    with ProgressLine("import", stream, lambda: seconds[0]) as progress:
        for seconds[0], step, share in reports:
            progress(step, share)
    return stream.getvalue()


def test_a_terminal_shows_one_line_with_the_time_left_and_is_clear_at_the_end() -> None:
    text = shown(is_terminal=True, reports=[(4.0, "folding", 0.25), (5.0, "folding", 0.5), (9.0, "comparing", 0.9)])

    assert "\n" not in text
    assert text.split("\r\x1b[K") == [
        "",
        "import: folding (25% done, about 12 s left)",
        "import: folding (50% done, about 5 s left)",
        "import: comparing (90% done, about 1 s left)",
        "",
    ]


def test_elsewhere_each_step_is_a_plain_line() -> None:
    text = shown(is_terminal=False, reports=[(4.0, "folding", 0.25), (5.0, "folding", 0.5), (9.0, "comparing", 0.9)])

    assert text == "import: folding (25% done, about 12 s left)\nimport: comparing (90% done, about 1 s left)\n"


@pytest.mark.parametrize("is_terminal", [False, True])
def test_what_takes_less_than_two_seconds_shows_nothing(*, is_terminal: bool) -> None:
    assert shown(is_terminal=is_terminal, reports=[(0.1, "folding", 0.2), (1.9, "comparing", 0.9)]) == ""


def test_nothing_done_yet_says_nothing_of_the_time_left() -> None:
    assert shown(is_terminal=False, reports=[(3.0, "reading", 0.0)]) == "import: reading (0% done)\n"


def test_where_the_end_is_not_known_the_time_so_far_is_shown() -> None:
    assert shown(is_terminal=False, reports=[(3.2, "waiting", None)]) == "import: waiting (3 s)\n"


def test_the_progress_of_a_part_is_placed_in_the_whole() -> None:
    reports: list[tuple[str, float]] = []
    part = part_of(lambda step, share: reports.append((step, share)), 0.2, 0.6)
    for share in (0.0, 0.5, 1.0):
        part("comparing", share)

    assert [share for _, share in reports] == pytest.approx([0.2, 0.4, 0.6])

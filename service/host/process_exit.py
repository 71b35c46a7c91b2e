"""How a process of ours has ended, in words."""

from signal import Signals


def describe_exit(code: int) -> str:
    """How a process ended: "with exit code 1" or "by SIGKILL".

    Args:
        code: its exit code; a signal's number, negated, where a signal ended it.
    """
    if code >= 0:
        return f"with exit code {code}"
    try:
        return f"by {Signals(-code).name}"
    except ValueError:  # most signals for real time have no name
        return f"by signal {-code}"

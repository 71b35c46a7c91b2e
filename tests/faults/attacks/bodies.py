"""Bodies whose content is chosen to be slow or large to read."""

from tests.faults.attacks.attack import Attack

ATTACKS: list[Attack] = []

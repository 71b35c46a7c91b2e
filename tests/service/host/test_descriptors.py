"""Room for connections."""

import subprocess
import sys

import pytest

from service.host.descriptors import ROOM

SIZE = "print(next(line for line in open('/proc/self/status') if line.startswith('FDSize')).split()[1])"


def table_size(*statements: str) -> int:
    """Of a new process that has executed these."""
    done = subprocess.run([sys.executable, "-c", "\n".join((*statements, SIZE))], capture_output=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc/self/status")
def test_the_table_of_open_files_need_not_grow_under_load() -> None:
    assert table_size("from service.host import descriptors", "descriptors.make_room()") >= ROOM
    assert table_size() < ROOM

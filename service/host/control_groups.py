"""Control groups of this process, which bound what a container may use.

Control groups nest, and the tightest bound applies: https://docs.kernel.org/admin-guide/cgroup-v2.html.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def control_groups(controller: str, root: Path = Path("/")) -> Iterator[Path]:
    """Yields the folders of the control groups that limit what this process uses, as far as they are mounted.

    Args:
        controller: of version 1, such as `cpu`. Version 2 has one folder for all of them.
        root: where `proc` and `sys` are mounted.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    mounts = root / "sys/fs/cgroup"
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            mount = mounts  # version 2
        elif controller in controllers.split(","):
            mount = mounts / controllers if (mounts / controllers).is_dir() else mounts / controller
        else:
            continue
        # In a container, the path may be the host's and not exist here; the mount itself is the group then.
        inner = PurePosixPath(path.lstrip("/"))
        if ".." not in inner.parts:
            yield from (mount / group for group in (inner, *inner.parents) if (mount / group).is_dir())
        else:
            yield mount

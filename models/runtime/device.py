"""The GPU of this process, and who may use it at the same time.

While a run is captured, CUDA refuses whatever else the process asks of the GPU, and both fail. So runs go on side by
side, and a capture is alone. Engines are opened one after the other, so that no capture waits while another is opened,
and no run waits with it.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Device:
    """Admits runs and captures. A capture that waits goes before the runs that come after it.

    Attributes:
        opening: held while an engine is opened, which is the only time that runs are captured.
        captures: that go on or wait.
    """

    def __init__(self) -> None:
        self.opening = threading.Lock()
        self._condition = threading.Condition()
        self._runs = 0
        self.captures = 0

    @contextmanager
    def run(self) -> Iterator[None]:
        """Beside other runs, after all captures."""
        with self._condition:
            self._condition.wait_for(lambda: not self.captures)
            self._runs += 1
        try:
            yield
        finally:
            with self._condition:
                self._runs -= 1
                self._condition.notify_all()

    @contextmanager
    def capture(self) -> Iterator[None]:
        """Alone. The caller holds `opening`."""
        with self._condition:
            self.captures += 1
            self._condition.wait_for(lambda: not self._runs)
        try:
            yield
        finally:
            with self._condition:
                self.captures -= 1
                self._condition.notify_all()


device = Device()
"""Of this process."""

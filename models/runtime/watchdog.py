"""Ends runs that take too long. onnxruntime looks at a run's options between nodes, and in every turn of a loop."""

import threading
from time import sleep

import onnxruntime

_TICK_SECONDS = 0.05


class Watchdog:
    """One thread that watches all runs of the process. It starts with the first of them.

    It counts its own ticks instead of reading a clock: while the process gets no processor, it counts nothing.
    """

    def __init__(self) -> None:
        self._runs: dict[onnxruntime.RunOptions, float] = {}
        self._ticks = 0
        self._start_lock = threading.Lock()
        self._is_started = False

    def watch(self, seconds: float) -> onnxruntime.RunOptions:
        """Options for one run, which ends with an error, and with `terminate` set in them, when its time is up."""
        if not self._is_started:
            self._start()
        options = onnxruntime.RunOptions()
        self._runs[options] = self._ticks + seconds / _TICK_SECONDS
        return options

    def release(self, options: onnxruntime.RunOptions) -> None:
        """Watch a run no longer."""
        del self._runs[options]

    def _start(self) -> None:
        with self._start_lock:
            if not self._is_started:
                self._is_started = True
                threading.Thread(target=self._work, name="watchdog", daemon=True).start()

    def _work(self) -> None:
        while True:
            sleep(_TICK_SECONDS)
            self._ticks += 1
            for options, deadline in self._runs.copy().items():
                if self._ticks > deadline:
                    options.terminate = True


watchdog = Watchdog()
"""Of this process."""

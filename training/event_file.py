"""A file of events for TensorBoard, which must be installed (the extra `tensorboard`)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard import FileWriter

FOLDER = "tensorboard"


class EventFile:
    """Scalars by step.

    Args:
        folder: of the run; the file is in its folder `tensorboard`.
        done: steps that have been taken. TensorBoard drops what another file there has of later ones.
        names: of the numbers in each group.
    """

    def __init__(self, folder: Path, done: int, names: Sequence[str]) -> None:
        self._writer = FileWriter(str(folder / FOLDER))
        self._writer.add_event(Event(session_log=SessionLog(status=SessionLog.START)), done + 1)
        self._names = names
        self._summary = Summary()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def write(self, step: int, groups: Mapping[str, Sequence[float]]) -> None:
        """Write the numbers of a step, by group: one tag `<group>/<name>` for each."""
        if not self._summary.value:  # the tags are those of every step: they are made once
            tags = [f"{group}/{name}" for group in groups for name in self._names]
            self._summary.value.extend(Summary.Value(tag=tag) for tag in tags)
        numbers = (number for group in groups.values() for number in group)
        for value, number in zip(self._summary.value, numbers, strict=True):
            value.simple_value = number
        self._writer.add_summary(self._summary, step)

"""python -m service.watching.twins.twin_process: makes the twin of one version, in a process of its own.

Its priority is low, so that predictions keep the cores, and the service needs no onnx.
`service.watching.twins.twin_messages` says what is read from standard input and written to standard output; nothing is
written where no accuracy can be estimated. Standard input stays open as long as the twin is wanted; when it ends, this
process exits.
"""

import os
import sys

from models.errors import DengeError
from models.graph.load import parse
from models.recalibration.accuracy import AccuracyEstimator
from models.recalibration.adaptation import AdaptiveNetwork
from models.repository import held_out
from service.host.background_process import receive_order
from service.watching.twins.twin_messages import MadeTwin, TwinOrder


def main() -> None:
    """Read the order and make the twin; never returns."""
    order = receive_order(TwinOrder.read)
    made = make(order)
    if made is not None:
        sys.stdout.buffer.write(made.to_bytes())
        sys.stdout.buffer.flush()
    os._exit(0)


def make(order: TwinOrder) -> MadeTwin | None:
    """The twin of a version; None where its accuracy cannot be estimated."""
    try:
        network = AdaptiveNetwork(parse(order.source))
        rows = held_out.unpack(order.held_out, order.manifest.inputs)
        found = AccuracyEstimator.calibrate(order.manifest, network, rows)
    except DengeError:
        return None
    return None if found is None else MadeTwin(found.before, network.twin())


if __name__ == "__main__":
    main()

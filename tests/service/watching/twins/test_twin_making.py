"""A process makes the twin of a version; whatever becomes of the process, the service goes on."""

import subprocess
import sys
import threading
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from models import starter
from models.errors import NotReady
from models.graph.load import parse
from models.recalibration.adaptation import AdaptiveNetwork
from models.repository import held_out
from models.repository.repository import Repository
from models.runtime.load import load
from service.watching.twins.twin_making import TwinMaker
from service.watching.twins.twin_messages import TwinOrder
from tests.watching import watched_bundle

BUNDLE = Repository(Path(starter.__file__).parent).read("mlp", 1)
WAIT = 30


def test_the_twin_is_the_network_with_the_statistics_of_its_rows() -> None:
    made = TwinMaker().make(BUNDLE)

    assert made is not None
    assert BUNDLE.held_out is not None
    rows = {"input": held_out.unpack(BUNDLE.held_out, BUNDLE.manifest.inputs)["input"][:64] + np.float32(0.2)}
    network = AdaptiveNetwork(parse(BUNDLE.source))
    (scores,) = load(made.graph, optimize=True)(rows).values()
    np.testing.assert_allclose(scores, network.run(rows).outputs["logits"], atol=1e-4)
    assert np.abs(scores - network.run(rows, 1.0).outputs["logits"]).max() > 1
    assert made.estimator.scale == BUNDLE.manifest.training.metrics["test_accuracy"]


@pytest.mark.parametrize("script", ["", "print('no twin')"])
def test_a_process_that_makes_none_gives_none(script: str) -> None:
    assert TwinMaker((sys.executable, "-c", script)).make(BUNDLE) is None


@pytest.mark.parametrize(
    ("script", "how"),
    [
        ("import os; os.kill(os.getpid(), 9)", "by SIGKILL"),
        ("raise SystemExit(1)", "with exit code 1"),
        ("print('a part'); raise SystemExit(1)", "with exit code 1"),
    ],
)
def test_a_process_that_is_killed_or_fails_is_an_error_so_that_it_is_tried_again(script: str, how: str) -> None:
    with pytest.raises(NotReady, match=f"ended {how}$"):
        TwinMaker((sys.executable, "-c", script)).make(BUNDLE)


def test_a_version_without_held_out_rows_needs_no_process() -> None:
    assert watched_bundle().held_out is None
    assert TwinMaker(("no such command",)).make(watched_bundle()) is None


def test_closing_ends_the_process() -> None:
    maker = TwinMaker((sys.executable, "-c", "import sys; sys.stdin.buffer.read()"))
    found: list[object] = []
    making = threading.Thread(target=lambda: found.append(maker.make(BUNDLE)), daemon=True)
    making.start()
    maker.close()
    making.join(WAIT)

    assert found == [None], "the process was not ended"
    assert maker.make(BUNDLE) is None


def test_an_order_is_read_as_it_was_written() -> None:
    order = TwinOrder.of(BUNDLE)
    assert order is not None
    assert TwinOrder.read(BytesIO(order.to_bytes())) == order
    unclassified = BUNDLE.manifest.model_copy(
        update={"outputs": (BUNDLE.manifest.outputs[0].model_copy(update={"shape": (-1,)}),)}
    )
    assert TwinOrder.of(replace(BUNDLE, manifest=unclassified)) is None


def test_a_service_that_ends_while_it_sends_the_order_leaves_no_traceback() -> None:
    order = TwinOrder.of(BUNDLE)
    assert order is not None
    command = [sys.executable, "-m", "service.watching.twins.twin_process"]
    done = subprocess.run(command, input=order.to_bytes()[:-1], capture_output=True, timeout=WAIT)

    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")

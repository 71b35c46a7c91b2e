"""Options of sessions whose defaults of onnxruntime would harm a service."""

import numpy as np
import onnxruntime
import pytest

from models.runtime.session import open_session, run_session
from tests.bundles import tiny_bundle


@pytest.mark.parametrize("keep_memory", [True, False])
def test_no_memory_is_kept_for_each_shape_that_was_met(keep_memory: bool) -> None:
    session = open_session(tiny_bundle().folded, keep_memory=keep_memory)

    options = session.get_session_options()

    assert not options.enable_mem_pattern
    assert options.enable_cpu_mem_arena is keep_memory
    assert onnxruntime.SessionOptions().enable_mem_pattern


@pytest.mark.parametrize("threads", [1, 3])
def test_a_run_has_the_threads_that_it_is_given(threads: int) -> None:
    options = open_session(tiny_bundle().folded, threads=threads).get_session_options()

    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (threads, 1)
    assert onnxruntime.SessionOptions().intra_op_num_threads == 0  # as many as the host has cores


def test_a_run_has_the_outputs_of_the_class_of_onnxruntime_without_its_checks() -> None:
    session, options = open_session(tiny_bundle().folded), onnxruntime.RunOptions()
    names = [output.name for output in session.get_outputs()]
    rows = {
        session.get_inputs()[0].name: np.random.default_rng(0).standard_normal(
            (3, *session.get_inputs()[0].shape[1:]), np.float32
        )
    }
    assert hasattr(session, "_sess")  # otherwise the checks are back

    found, expected = run_session(session, names, rows, options), session.run(names, rows)

    assert [array.shape for array in found] == [array.shape for array in expected]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("change", ["missing", "unknown", "type", "shape"])
def test_the_runtime_itself_refuses_other_inputs_than_those_of_the_graph(change: str) -> None:
    session, options = open_session(tiny_bundle().folded), onnxruntime.RunOptions()
    spec = session.get_inputs()[0]
    rows = np.zeros((1, *spec.shape[1:]), np.float32)
    assert run_session(session, [session.get_outputs()[0].name], {spec.name: rows}, options)
    changed = {
        "missing": {},
        "unknown": {spec.name: rows, "other": rows},
        "type": {spec.name: rows.astype(np.float64)},
        "shape": {spec.name: rows[..., :-1]},
    }[change]

    with pytest.raises(Exception, match=r"(?i)missing|invalid|unexpected"):
        run_session(session, [session.get_outputs()[0].name], changed, options)

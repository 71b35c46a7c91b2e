"""Options of sessions whose defaults of onnxruntime would harm a service."""

import onnxruntime
import pytest

from models.runtime.session import open_session
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

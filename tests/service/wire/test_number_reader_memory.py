"""The reader of numbers, built with checks of every access to memory, and built as for a processor without SSE2."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

SOURCE = Path("service/wire/number_reader.c")

RUN = """
import importlib.util, sys
import pytest

name = "service.wire.number_reader"
spec = importlib.util.spec_from_file_location(name, sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
sys.modules[name] = module
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "tests/service/wire/test_number_reader.py"]))
"""

BROKEN = """
import importlib.util, sys
import numpy as np

spec = importlib.util.spec_from_file_location("number_reader", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
text = memoryview(b"x" * 99 + b"[1]")[99:]
module.read_float32(text, np.empty(1, np.float32), (1,))
"""


def build(folder: Path, *options: str, source: Path = SOURCE) -> Path:
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no gcc")
    include = sysconfig.get_path("include")
    if not Path(include, "Python.h").exists():
        pytest.skip("the headers of Python are not installed")
    built = folder / "number_reader.abi3.so"
    warnings = ("-Wall", "-Wextra", "-Werror")
    command = [compiler, "-O1", "-g", "-shared", "-fPIC", *warnings, *options, f"-I{include}", "-o", built, source]
    subprocess.run(command, check=True)
    return built


def libraries(*names: str) -> str:
    """Their paths, which gcc knows."""
    asked = (["gcc", f"-print-file-name={name}"] for name in names)
    paths = [subprocess.run(ask, check=True, capture_output=True, text=True).stdout.strip() for ask in asked]
    if not all(Path(path).is_absolute() for path in paths):
        pytest.skip("gcc has no sanitizers")
    return " ".join(paths)


def run(script: str, built: Path) -> "subprocess.CompletedProcess[str]":
    checks = {
        "LD_PRELOAD": libraries("libasan.so", "libubsan.so"),
        "ASAN_OPTIONS": "detect_leaks=0",
        "PYTHONMALLOC": "malloc",  # so that the end of a text is the end of its memory
    }
    command = [sys.executable, "-c", script, str(built)]
    return subprocess.run(command, env=os.environ | checks, capture_output=True, text=True, timeout=300)


SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("-U__SSE2__",)], ids=["sse2", "portable"])
def test_no_access_is_outside_of_the_text_and_the_array(options: tuple[str, ...], tmp_path: Path) -> None:
    built = build(tmp_path, *SANITIZERS, *options)

    ran = run(RUN, built)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert " passed" in ran.stdout


@pytest.mark.slow
def test_an_access_outside_of_the_text_is_found(tmp_path: Path) -> None:
    """Control for the test above: a reader that reads eight bytes beyond the end of a text."""
    source = tmp_path / "broken.c"
    right = SOURCE.read_text(encoding="utf-8")
    wrong = right.replace("const char *start = text.buf;", "const char *start = (const char *)text.buf + 8;")
    assert wrong != right
    source.write_text(wrong, encoding="utf-8")

    ran = run(BROKEN, build(tmp_path, *SANITIZERS, source=source))

    assert ran.returncode != 0
    assert "heap-buffer-overflow" in ran.stderr

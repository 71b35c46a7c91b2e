"""The folder with the models, made on first use and kept until anything that makes them changes."""

import hashlib
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[2]
"""Of the checkout: servers start here."""

_MAKERS = ("models", "training", "benchmarks/service/networks.py")


def models_folder() -> Path:
    """`repository` and one `.onnx` per model are in it."""
    folder = Path(tempfile.gettempdir(), f"denge-benchmark-{_digest()}")
    if not folder.exists():
        with tempfile.TemporaryDirectory(prefix="denge-benchmark-", ignore_cleanup_errors=True) as made:
            print("making the models", file=sys.stderr)
            subprocess.run([sys.executable, "-m", "benchmarks.service.networks", made], cwd=ROOT, check=True)
            Path(made).rename(folder)  # complete or not at all
    return folder


def _digest() -> str:
    digest = hashlib.sha256()
    for package in ("torch", "onnx", "onnxscript"):
        digest.update(f"{package} {version(package)}\n".encode())
    for maker in _MAKERS:
        path = ROOT / maker
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]

"""The one model that the service was given at its start, by a folder or a file: copied into the repository."""

import hashlib
import subprocess
import sys
from pathlib import Path

import structlog

from models.durable_files import replace_file
from models.errors import InvalidInput
from models.repository.copying import copy_model
from models.repository.repository import Repository
from service.host.process_exit import describe_exit

log = structlog.get_logger()


def add_given_model(path: Path, name: str, repository: Repository, state: Path) -> None:
    """Publish the given model, unless that was done at an earlier start.

    Args:
        path: a bundle, a model's folder of versions, an ONNX file, or a folder with one. It is only read.
        name: of the model in the repository.
        repository: where it is published.
        state: folder for the digest of an ONNX file, which says that it has been imported.

    Raises:
        InvalidInput: nothing like that is there, or the file cannot be served.
        BundleError: a version is damaged, or another bundle has its number.
        OSError: a disk is full, or may not be written or read.
    """
    file = _onnx_file(path)
    if file is None:
        versions = copy_model(path, name, repository)
        log.info("model_copied", model=name, versions=versions)
        return
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    imported = state / "imported" / name
    if imported.is_file() and imported.read_text("ascii") == digest and repository.listing().get(name):
        return
    _import(file, name, repository)
    imported.parent.mkdir(parents=True, exist_ok=True)
    replace_file(imported, digest.encode())


def _onnx_file(path: Path) -> Path | None:
    """The ONNX file that is meant; None for a folder of other contents."""
    if path.is_file():
        return path
    files = sorted(path.glob("*.onnx"))
    return files[0] if len(files) == 1 else None  # a bundle has several


def _import(file: Path, name: str, repository: Repository) -> None:
    """In a process of its own: importing takes onnx, and much more memory than serving."""
    log.info("model_importing", model=name, file=file.name)
    command = [sys.executable, "-m", "models.importing", str(file), name, repository.location]
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - the command is ours
    if done.returncode:
        reason = done.stderr.strip().splitlines() or [f"the process ended {describe_exit(done.returncode)}"]
        raise InvalidInput(f"{file.name} cannot be imported: {reason[-1]}", "model_path")

"""`denge doctor`: checks the machine, the settings and the repository, and says what to do. Changes nothing."""

import importlib
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import orjson

from models.errors import DengeError
from models.repository.repository import Repository
from models.runtime.providers import runtime_version, validate_provider
from models.version import VERSION
from service.host import cores, sockets
from service.settings import ConfigurationError, Settings

MIN_FREE_BYTES = 1 << 30
"""Of a disk: less is a warning, since a version of a large network would not fit."""


@dataclass(frozen=True)
class Finding:
    """What one check has found.

    Attributes:
        check: what was looked at.
        state: a problem keeps the service from starting or from serving a version; a warning does not.
        found: in words.
        advice: what to do; empty if nothing is to be done.
    """

    check: str
    state: Literal["ok", "warning", "problem"]
    found: str
    advice: str = ""


def examine(settings: Settings) -> Iterator[Finding]:
    """Yields the findings about a service that is started with these settings."""
    yield Finding("versions", "ok", f"Denge {VERSION}, Python {platform.python_version()}")
    for check in (_provider, _extras, _cores, _disks, _port, _token):
        yield from check(settings)
    yield from _repository(settings)


def report(settings: Settings, *, as_json: bool) -> int:
    """Print the findings, as lines or as one JSON list. Returns the exit code: 1 if there is a problem, else 0."""
    found = list(examine(settings))
    write = sys.stdout.write
    if as_json:
        write(orjson.dumps([asdict(finding) for finding in found]).decode() + "\n")
    else:
        for finding in found:
            write(f"{finding.state:8} {finding.check:12} {finding.found}\n")
            if finding.advice:
                write(f"{'':21} -> {finding.advice}\n")
    return int(any(finding.state == "problem" for finding in found))


def _provider(settings: Settings) -> Iterator[Finding]:
    try:
        validate_provider(settings.provider)
    except DengeError as error:
        yield Finding("provider", "problem", str(error), "install it, or choose --provider cpu")
    else:
        yield Finding("provider", "ok", f"{settings.provider}, onnxruntime {runtime_version()}")


def _extras(settings: Settings) -> Iterator[Finding]:
    needed = {
        "grpc": ("grpc", settings.grpc_port is not None),
        "otel": ("opentelemetry.sdk", settings.traces != "none"),
        "objects": ("obstore", not isinstance(settings.repository, Path)),
        "redis": ("redis", settings.store not in {None, "memory", "sqlite"}),
    }
    for extra, (module, is_needed) in needed.items():
        if not is_needed:
            continue
        try:
            importlib.import_module(module)
        except ImportError:
            yield Finding(extra, "problem", f"{module} is not installed", f"pip install 'denge[{extra}]'")
        else:
            yield Finding(extra, "ok", f"{module} is installed")


def _cores(settings: Settings) -> Iterator[Finding]:
    usable, quota = cores.count_usable(), cores.read_quota()
    found = f"{usable} usable" + ("" if quota is None else f", of a quota of {quota:g}")
    busy = settings.threads * settings.concurrency
    if busy > usable:
        advice = f"lower --threads or --concurrency: {busy} threads would compete for {usable}"
        yield Finding("cores", "warning", found, advice)
    else:
        yield Finding("cores", "ok", found)


def _disks(settings: Settings) -> Iterator[Finding]:
    folders = {"state_dir": settings.state_folder}
    if isinstance(settings.repository, Path):
        folders["repository"] = settings.repository
    for name, folder in folders.items():
        existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
        free = shutil.disk_usage(existing).free
        found = f"{name}: {free / (1 << 30):.1f} GiB free at {existing}"
        if free < MIN_FREE_BYTES:
            yield Finding("disk", "warning", found, "delete old versions (prune), or choose another disk")
        else:
            yield Finding("disk", "ok", found)


def _port(settings: Settings) -> Iterator[Finding]:
    if settings.uds is not None:
        yield Finding("port", "ok", f"none: the unix socket {settings.uds}")
        return
    try:
        for bound in sockets.bind(sockets.resolve(settings.host), settings.port):
            bound.close()
    except OSError as error:
        advice = "stop what listens there, which may be this service, or choose --port"
        yield Finding("port", "problem", str(error), advice)
    else:
        yield Finding("port", "ok", f"{settings.port} of {settings.host} is free")


def _token(settings: Settings) -> Iterator[Finding]:
    file = settings.admin_token_file
    if settings.admin_token is None and file is None:
        advice = "set --admin-token-file where others share this machine, or a proxy stands in front"
        yield Finding("admin token", "warning", "none: everyone who reaches the port may change what is served", advice)
    elif settings.admin_token is None and file is not None and not file.exists():
        yield Finding("admin token", "ok", f"{file} is created at the start")
    else:
        try:
            settings.read_admin_token()
        except ConfigurationError as error:
            yield Finding("admin token", "problem", str(error), "write one token into the file, or delete it")
        else:
            yield Finding("admin token", "ok", "set")


def _repository(settings: Settings) -> Iterator[Finding]:
    try:
        repository = Repository(settings.repository)
        repository.validate_writable()
        listing = repository.listing()
    except DengeError as error:
        yield Finding("repository", "problem", str(error), "check the path, its permissions, or the credentials")
        return
    versions = sum(len(model.versions) for model in listing.values())
    yield Finding("repository", "ok", f"{repository.location}, models: {len(listing)}, versions: {versions}")
    for name, model in listing.items():
        for folder, reason in model.unusable.items():
            path = f"{name}/{folder}".rstrip("/")
            yield Finding("repository", "warning", f"{path} is no version: {reason}", "rename or delete it")
        for version in model.versions:
            try:
                repository.read(name, version)
            except DengeError as error:
                advice = "publish it again, or delete its folder; the version before it can be promoted"
                yield Finding("repository", "problem", f"{name}/{version}: {error}", advice)

"""What commands print: text for people, or with `--json` one object for programs. Works without torch."""

import sys
from typing import Any

import orjson

from models.errors import VersionRefused
from models.manifest import Manifest
from models.recalibration.candidate import Candidate
from models.repository.bundle import Bundle
from models.repository.repository import Repository


class Output:
    """Prints what one command has to tell.

    Args:
        as_json: print one object on the standard output, and everything else on the standard error.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    def say(self, text: str) -> None:
        """Print text at once: epochs take minutes, and a log file should show each when it is done."""
        print(text, file=sys.stderr if self._as_json else sys.stdout, flush=True)

    def result(self, text: str, value: object) -> None:
        """Print what was asked for: the text, or the value as JSON."""
        if self._as_json:
            _print_json(value)
        else:
            self.say(text)

    def publish(self, repository: Repository, bundle: Bundle, *, candidate: bool = False) -> None:
        """Publish a bundle, and print where it is.

        Args:
            repository: where it is published.
            bundle: complete.
            candidate: keep the present default version the default.
        """
        version = repository.publish(bundle, candidate=candidate)
        manifest = bundle.manifest
        path = f"{repository.root}/{manifest.model}/{version}"
        self.result(f"published {manifest.model} version {version}: {path}", _version(manifest, version, path))

    def publish_candidate(self, repository: Repository, candidate: Candidate, *, force: bool) -> None:
        """Publish a version if its gates allow it.

        Raises:
            VersionRefused: they do not. As JSON, the manifest is printed all the same: it has their figures.
        """
        try:
            bundle = candidate.publishable(force=force)
        except VersionRefused:
            if self._as_json:
                _print_json(_version(candidate.bundle.manifest, None, None))
            raise
        self.publish(repository, bundle, candidate=True)


def manifest_fields(manifest: Manifest) -> dict[str, Any]:
    """The fields of a manifest, as its file has them."""
    fields: dict[str, Any] = manifest.model_dump(mode="json", exclude_none=True)
    return fields


def _version(manifest: Manifest, version: int | None, path: str | None) -> dict[str, Any]:
    return {"model": manifest.model, "version": version, "path": path, "manifest": manifest_fields(manifest)}


def _print_json(value: object) -> None:
    print(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())

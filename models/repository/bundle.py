"""One version of a model on disk: written once, verified whenever it is read.

manifest.json      models.manifest.Manifest
source.onnx        the network with explicit BatchNormalization nodes
folded.onnx        the same function with them folded: what `predict` runs
observed.onnx      folded.onnx with statistics of its norm layers as further outputs (models.graph.observe); optional
*.weights          weights of the graphs: ONNX external data, each once. Those of folded.onnx that source.onnx has as
                   well are in source.weights, unless they are few; those of observed.onnx in folded.weights; optional
held_out.npz       rows that the network was not trained on, to compare versions on (held_out.py); optional
SHA256SUMS         digests of all of the above; `sha256sum -c SHA256SUMS` checks a bundle by hand
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from models.durable_files import sync, write_file
from models.errors import DamagedBundle, ForeignBundle
from models.manifest import SCHEMA_VERSION, Manifest
from models.memory import release_pages
from models.repository.files import read_file
from models.stored_graph import Content, SerializedGraph, join, split
from models.validation import describe, field_of

MANIFEST = "manifest.json"
SOURCE = "source.onnx"
FOLDED = "folded.onnx"
OBSERVED = "observed.onnx"
HELD_OUT = "held_out.npz"
DIGESTS = "SHA256SUMS"
SOURCE_WEIGHTS = "source.weights"
FOLDED_WEIGHTS = "folded.weights"
OBSERVED_WEIGHTS = "observed.weights"
WEIGHTS = (SOURCE_WEIGHTS, FOLDED_WEIGHTS, OBSERVED_WEIGHTS)
FILES = (MANIFEST, SOURCE, FOLDED)
OPTIONAL_FILES = (OBSERVED, *WEIGHTS, HELD_OUT)

MAX_MANIFEST_BYTES = 64 << 20
"""A ResNet-152 with all its channels takes 12 MB; more than this is not a manifest."""
MAX_FILE_BYTES = (2 << 30) - 1
"""What protobuf, and so ONNX, can hold in one file."""
MAX_WEIGHTS_BYTES = 64 << 30
"""Of a file of weights: more than a network of 16 billion parameters in float32."""
MAX_DIGESTS_BYTES = 1 << 12


@dataclass(frozen=True)
class ServedBundle:
    """What of a bundle is needed to serve it, verified.

    Attributes:
        manifest: describes the version.
        folded: the serialized ONNX graph with its weights: the very bytes that were verified, so that a file which
            changes afterwards is not run.
        observed: the serialized observed graph.
        held_out: held-out rows, as `models.repository.held_out.pack` wrote them.
    """

    manifest: Manifest
    folded: SerializedGraph
    held_out: bytes | None = None
    observed: SerializedGraph | None = None


@dataclass(frozen=True)
class Bundle(ServedBundle):
    """A verified bundle.

    Attributes:
        source: the serialized graph with explicit BatchNormalization nodes: with its weights, about half of a bundle.
    """

    source: SerializedGraph = field(kw_only=True)


AnyBundle = TypeVar("AnyBundle", bound=ServedBundle)


def pack(bundle: Bundle) -> dict[str, Content]:
    """The files of a bundle by name, the list of their digests last.

    Raises:
        ValueError: a file of weights has no name of `WEIGHTS`, or two graphs have different ones of one name.
    """
    files: dict[str, Content] = {MANIFEST: bundle.manifest.model_dump_json(exclude_none=True).encode()}
    weights: dict[str, Content] = {}
    for name, graph in ((SOURCE, bundle.source), (FOLDED, bundle.folded), (OBSERVED, bundle.observed)):
        if graph is not None:
            files[name], its_weights = split(graph)
            for file, content in its_weights.items():
                if file not in WEIGHTS or not _is_same(weights.setdefault(file, content), content):
                    raise ValueError(f"the weights of {name} cannot be stored in '{file}'")
    files |= weights
    if bundle.held_out is not None:
        files[HELD_OUT] = bundle.held_out
    digests = "".join(f"{digest_of(data)}  {name}\n" for name, data in files.items())
    release_pages(weights)
    return {**files, DIGESTS: digests.encode()}


def _is_same(one: Content, other: Content) -> bool:
    return one is other or memoryview(one) == memoryview(other)


def write(folder: Path, files: Mapping[str, Content]) -> None:
    """Write the files of a bundle into an empty folder, and return only when they are on the disk itself.

    Args:
        folder: exists.
        files: by name, as `pack` returns them.

    Raises:
        OSError: the folder is missing or a file of the bundle already exists.
    """
    for name, data in files.items():
        write_file(folder / name, data)
        release_pages({name: data})
    sync(folder)


def read(folder: Path) -> Bundle:
    """Read a bundle, with every file checked against its digest.

    Raises:
        ForeignBundle: the folder is not a bundle, or of a schema that this release does not read.
        DamagedBundle: a file is missing, unexpected, a link, or does not match its digest.
    """
    return _VerifiedFiles(folder).read()


def read_served(folder: Path) -> ServedBundle:
    """Read what of a bundle is needed to serve it, with every file that is read checked against its digest.

    Raises:
        ForeignBundle, DamagedBundle: as `read` does, but for the content of files that are not read.
    """
    return _VerifiedFiles(folder).read_served()


def digest(folder: Path) -> str:
    """A digest of a bundle: of the list of its files' digests.

    Raises:
        DamagedBundle: there is no such list.
    """
    return digest_of(_read_file(folder, DIGESTS, MAX_DIGESTS_BYTES))


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a bundle, not checked against its digest: for looking around, not for serving.

    Raises:
        DamagedBundle: it cannot be read.
        ForeignBundle: it is not a manifest.
    """
    return parse_manifest(_read_file(folder, MANIFEST))


def digest_of(data: Content) -> str:
    """The digest of a file, in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def parse_digests(data: bytes, where: str) -> dict[str, str]:
    """Digests by name of the file.

    Args:
        data: a list of digests.
        where: it is from, for the error.

    Raises:
        DamagedBundle: it is no such list.
        ForeignBundle: it lists other files than those of a bundle.
    """
    try:
        lines = data.decode("ascii").removesuffix("\n").split("\n")
        digests = [(name, digest) for digest, name in (line.split("  ", 1) for line in lines)]
    except ValueError as error:
        raise DamagedBundle(f"{where}/{DIGESTS} is not a list of digests") from error
    listed = sorted(name for name, _ in digests if name not in OPTIONAL_FILES)
    if listed != sorted(FILES) or len(dict(digests)) != len(digests):
        raise ForeignBundle(f"{where} is not a bundle: {DIGESTS} must list {', '.join(FILES)}")
    return dict(digests)


def parse_manifest(data: bytes) -> Manifest:
    """A manifest from its file.

    Raises:
        ForeignBundle: it is not a manifest, or of a schema that this release does not read.
    """
    if len(data) > MAX_MANIFEST_BYTES:
        raise ForeignBundle(f"{MANIFEST} is {len(data)} bytes long; at most {MAX_MANIFEST_BYTES} are read")
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = field_of(first)
        if where == "schema_version":
            raise ForeignBundle(
                f"{MANIFEST} has schema version {first['input']!r}; this release reads {SCHEMA_VERSION}"
            ) from error
        raise ForeignBundle(f"{MANIFEST}: {where}: {describe(first)}") from error


def _read_file(folder: Path, name: str, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    try:
        return read_file(folder / name, max_bytes)
    except OSError as error:
        raise DamagedBundle(f"{folder.name}/{name} cannot be read: {error.strerror}") from error


class _VerifiedFiles:
    """The files of a bundle, each read once, and checked against its digest.

    Args:
        folder: of the bundle.

    Raises:
        ForeignBundle: it is none.
        DamagedBundle: a file is missing or unexpected.
    """

    def __init__(self, folder: Path) -> None:
        try:
            present = {entry.name for entry in folder.iterdir()}
        except (FileNotFoundError, NotADirectoryError):
            present = set()
        except OSError as error:
            raise DamagedBundle(f"{folder.name} cannot be read: {error.strerror}") from error
        if DIGESTS not in present:
            raise ForeignBundle(f"{folder.name} is not a bundle: it has no {DIGESTS}")
        self._folder = folder
        self._digests = parse_digests(_read_file(folder, DIGESTS, MAX_DIGESTS_BYTES), folder.name)
        self._contents: dict[str, bytes] = {}
        if unexpected := present - {*self._digests, DIGESTS}:
            raise DamagedBundle(f"{folder.name}: unexpected file {min(unexpected)!r}")
        if missing := self._digests.keys() - present:
            raise DamagedBundle(f"{folder.name}/{min(missing)} is missing")

    def read(self) -> Bundle:
        """All of the bundle."""
        for name in self._digests:
            self._content(name)
        served = self.read_served()
        source = self._graph(SOURCE)
        return Bundle(served.manifest, served.folded, served.held_out, served.observed, source=source)

    def read_served(self) -> ServedBundle:
        """What of the bundle is needed to serve it."""
        return ServedBundle(
            parse_manifest(self._content(MANIFEST)),
            folded=self._graph(FOLDED),
            held_out=self._content(HELD_OUT) if HELD_OUT in self._digests else None,
            observed=self._graph(OBSERVED) if OBSERVED in self._digests else None,
        )

    def _graph(self, name: str) -> SerializedGraph:
        model = self._content(name)
        # A graph names the files of its weights. One that is only mentioned is read in vain, and does no harm.
        return join(
            model, {file: self._content(file) for file in WEIGHTS if file in self._digests and file.encode() in model}
        )

    def _content(self, name: str) -> bytes:
        if name not in self._contents:
            data = _read_file(self._folder, name, MAX_WEIGHTS_BYTES if name in WEIGHTS else MAX_FILE_BYTES)
            if digest_of(data) != self._digests[name]:
                raise DamagedBundle(f"{self._folder.name}/{name} does not match its digest in {DIGESTS}")
            self._contents[name] = data
        return self._contents[name]

"""The page at `/`: files of the package, with headers that restrict what browsers let them do."""

import gzip
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath

from fastapi import APIRouter, Request, Response

from models.errors import NotFound
from service.http.access import PUBLIC
from service.routes.page_script import join_modules
from service.wire.compression import negotiate

_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

HEADERS = {
    # Only files of this service, nothing inline, and text never becomes markup: users choose the names of models.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob: data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Vary": "Accept, Accept-Encoding",
    "Cache-Control": "no-cache",  # browsers keep a file, and revalidate it by its tag
}


_IMMUTABLE = {"Cache-Control": "public, max-age=31536000, immutable"}
"""Of a file whose address has the digest of all of them: browsers ask for it once."""

_ALIVE = b'{"status":"alive"}'
_GUIDE = re.compile(rb' *<a href="guide/".*\n')
_DIGEST = re.compile("[0-9a-f]{16}/")
_STYLES = re.compile('@import "([^"]+)";')


@dataclass(frozen=True)
class _File:
    body: bytes
    compressed: bytes
    headers: dict[str, str]

    @classmethod
    def of(cls, path: str, body: bytes) -> "_File":
        tag = f'"{sha256(body).hexdigest()[:32]}"'
        media_type = _MEDIA_TYPES[PurePosixPath(path).suffix]
        return cls(body, gzip.compress(body, mtime=0), {**HEADERS, "Content-Type": media_type, "ETag": tag})


def router(*, has_guide: bool) -> APIRouter:
    """The page and its files. They are read once: no path of a request is looked up on disk.

    Args:
        has_guide: whether the documentation is under /guide, so that the page links to it.
    """
    routes = APIRouter(include_in_schema=False, dependencies=[PUBLIC])
    files_ = _with_script(_with_styles(dict(_read(files("service") / "dashboard"))))
    digest = sha256(b"".join(path.encode() + body for path, body in sorted(files_.items()))).hexdigest()[:16]
    if not has_guide:
        files_["index.html"] = _GUIDE.sub(b"", files_["index.html"])
    # Addresses that never change their content can be kept for good.
    files_["index.html"] = files_["index.html"].replace(b'"dashboard/', f'"dashboard/{digest}/'.encode())
    served = {path: _File.of(path, body) for path, body in files_.items()}

    def respond(file: _File, request: Request, caching: Mapping[str, str]) -> Response:
        headers = {**file.headers, **caching}
        tags = request.headers.get("if-none-match", "")
        if file.headers["ETag"] in (tag.strip().removeprefix("W/") for tag in tags.split(",")):
            return Response(status_code=304, headers=headers)
        if negotiate(request.headers.get("accept-encoding", "")) == "gzip":
            return Response(file.compressed, headers={**headers, "Content-Encoding": "gzip"})
        return Response(file.body, headers=headers)

    @routes.api_route("/", methods=["GET", "HEAD"])
    async def get_page(request: Request) -> Response:
        # KServe's V1 clients ask here whether the server is alive; browsers ask for HTML.
        if "text/html" not in request.headers.get("accept", ""):
            return Response(_ALIVE, headers={"Vary": HEADERS["Vary"]}, media_type="application/json")
        return respond(served["index.html"], request, {})

    @routes.api_route("/dashboard/{path:path}", methods=["GET", "HEAD"])
    async def get_file(path: str, request: Request) -> Response:
        # Another digest is that of a replica with another release: this one's file is better than none.
        name = _DIGEST.sub("", path, count=1) if _DIGEST.match(path) else path
        if name not in served:
            raise NotFound(f"the page has no file '{path}'")
        return respond(served[name], request, _IMMUTABLE if path == f"{digest}/{name}" else {})

    return routes


def _read(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    """The files of the page by their path below its folder."""
    for file in folder.iterdir():
        path = prefix + file.name
        if file.is_dir():
            yield from _read(file, f"{path}/")
        elif PurePosixPath(path).suffix in _MEDIA_TYPES:
            yield path, file.read_bytes()


def _with_styles(found: Mapping[str, bytes]) -> dict[str, bytes]:
    """The same files, with one style sheet in place of those that it imports: each would be a request of its own."""
    sheet = _STYLES.sub(lambda imported: found[imported[1]].decode(), found["page.css"].decode())
    kept = {path: body for path, body in found.items() if not path.endswith(".css")}
    return {**kept, "page.css": sheet.encode()}


def _with_script(found: Mapping[str, bytes]) -> dict[str, bytes]:
    """The same files, with one script in place of the modules."""
    modules = {path: body.decode() for path, body in found.items() if path.endswith(".js")}
    kept = {path: body for path, body in found.items() if path not in modules}
    return {**kept, "page.js": join_modules(modules, "page.js").encode()}

"""The page at `/`: files of the package, with headers that restrict what browsers let them do."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath

from fastapi import APIRouter, Request, Response

from models.errors import NotFound
from service.http.access import PUBLIC

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
    "Vary": "Accept",
    "Cache-Control": "no-cache",  # browsers keep a file, and revalidate it by its tag
}


_ALIVE = b'{"status":"alive"}'


@dataclass(frozen=True)
class _File:
    body: bytes
    headers: dict[str, str]


def router() -> APIRouter:
    """The page and its files. They are read once: no path of a request is looked up on disk."""
    routes = APIRouter(include_in_schema=False, dependencies=[PUBLIC])
    served = dict(_read(files("service") / "dashboard"))

    def respond(file: _File, request: Request) -> Response:
        tags = request.headers.get("if-none-match", "")
        if file.headers["ETag"] in (tag.strip().removeprefix("W/") for tag in tags.split(",")):
            return Response(status_code=304, headers=file.headers)
        return Response(file.body, headers=file.headers)

    @routes.api_route("/", methods=["GET", "HEAD"])
    async def get_page(request: Request) -> Response:
        # KServe's V1 clients ask here whether the server is alive; browsers ask for HTML.
        if "text/html" not in request.headers.get("accept", ""):
            return Response(_ALIVE, headers={"Vary": "Accept"}, media_type="application/json")
        return respond(served["index.html"], request)

    @routes.api_route("/dashboard/{path:path}", methods=["GET", "HEAD"])
    async def get_file(path: str, request: Request) -> Response:
        if path not in served:
            raise NotFound(f"the page has no file '{path}'")
        return respond(served[path], request)

    return routes


def _read(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, _File]]:
    """The files of the page by their path below its folder."""
    for file in folder.iterdir():
        path = prefix + file.name
        if file.is_dir():
            yield from _read(file, f"{path}/")
        elif media_type := _MEDIA_TYPES.get(PurePosixPath(path).suffix):
            body = file.read_bytes()
            tag = f'"{sha256(body).hexdigest()[:32]}"'
            yield path, _File(body, {**HEADERS, "Content-Type": media_type, "ETag": tag})

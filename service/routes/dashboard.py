"""The page at `/`: files that come with the package, and what browsers may do with them."""

from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files

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
    # Everything from here, nothing inline, and text never becomes markup: names of models are other people's words.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob: data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",  # keep it, and ask by its tag whether it is still the one
}


@dataclass(frozen=True)
class _File:
    body: bytes
    headers: dict[str, str]


def router() -> APIRouter:
    """The page and its parts. They are read once, and no path of a request is looked for on disk."""
    routes = APIRouter(include_in_schema=False, dependencies=[PUBLIC])
    found = _read()

    def answer(file: _File, request: Request) -> Response:
        tags = request.headers.get("if-none-match", "")
        if file.headers["ETag"] in (tag.strip().removeprefix("W/") for tag in tags.split(",")):
            return Response(status_code=304, headers=file.headers)
        return Response(file.body, headers=file.headers)

    @routes.api_route("/", methods=["GET", "HEAD"])
    async def page(request: Request) -> Response:
        return answer(found["index.html"], request)

    @routes.api_route("/dashboard/{name}", methods=["GET", "HEAD"])
    async def part(name: str, request: Request) -> Response:
        if name not in found:
            raise NotFound("the page has no such part")
        return answer(found[name], request)

    return routes


def _read() -> dict[str, _File]:
    parts = {}
    for file in (files("service") / "dashboard").iterdir():
        media_type = _MEDIA_TYPES.get("." + file.name.rpartition(".")[2])
        if media_type is not None:
            body = file.read_bytes()
            tag = f'"{sha256(body).hexdigest()[:32]}"'
            parts[file.name] = _File(body, {**HEADERS, "Content-Type": media_type, "ETag": tag})
    return parts

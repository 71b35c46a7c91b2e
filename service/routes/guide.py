"""The documentation under /guide, as `make docs` builds it."""

from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.staticfiles import StaticFiles

from models.errors import NotFound
from service.http.access import PUBLIC

HEADERS = {
    # The site's generator writes scripts and styles into its pages; there is nothing of users in them.
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; worker-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def router(folder: Path | None) -> APIRouter:
    """The pages of a site.

    Args:
        folder: of its files; None where there is none.
    """
    routes = APIRouter(include_in_schema=False, dependencies=[PUBLIC])
    site = None if folder is None else StaticFiles(directory=folder, html=True, check_dir=False)

    @routes.api_route("/guide", methods=["GET", "HEAD"])
    async def get_start() -> Response:
        return RedirectResponse("guide/")  # relative: a proxy may have a prefix before it

    @routes.api_route("/guide/{path:path}", methods=["GET", "HEAD"])
    async def get_page(path: str, request: Request) -> Response:
        if site is None:
            raise NotFound("the guide is not installed: `make docs` builds it, and guide_dir names its folder")
        # Whole files only: parts of pages help nobody, and a client could ask for very many of them.
        request.scope["headers"] = [header for header in request.scope["headers"] if header[0] != b"range"]
        response = await site.get_response(path or ".", request.scope)
        response.headers.update(HEADERS)
        return response

    return routes

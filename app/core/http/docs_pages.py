"""The documentation pages, Swagger UI and ReDoc, which load nothing from elsewhere and run no inline script."""

import mimetypes
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from app.core.errors import NotFound
from app.core.http.public_path import public_path
from app.core.http.strict_route import StrictRoute

router = APIRouter(route_class=StrictRoute, include_in_schema=False)
OWN = ("swagger.js", "swagger.css", "favicon.svg", "verify.js", "verify.css")
PACKAGED = ("swagger-ui-bundle.js", "swagger-ui.css", "redoc.standalone.js")  # of fastapi-offline
# ReDoc shows a logo from its makers' network: an empty picture stands in.
ELSEWHERE = (
    b"https://cdn.redoc.ly/redoc/logo-mini.svg",
    b"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'/%3E",
)
CACHE = {"Cache-Control": "public, max-age=3600"}


@cache
def _asset(name: str) -> bytes:
    """Return a file of the pages. Raises ``NotFound``."""
    if name in OWN:
        return (files("app.core.http") / "static" / name).read_bytes()
    if name in PACKAGED:
        return (files("fastapi_offline") / "static" / name).read_bytes().replace(*ELSEWHERE)
    raise NotFound


@router.get("/static/{name}")
async def get_asset(name: str) -> Response:
    """Respond with a script, style sheet or picture of the pages."""
    return Response(_asset(name), media_type=mimetypes.guess_type(name)[0], headers=CACHE)


@router.get("/favicon.ico")
async def get_favicon() -> Response:
    """Respond with the icon that browsers ask for unasked."""
    return Response(_asset("favicon.svg"), media_type="image/svg+xml", headers=CACHE)


@router.get("/docs")
async def show_swagger_ui(request: Request) -> HTMLResponse:
    """Respond with Swagger UI, to try operations."""
    return _page(
        request,
        f'<link rel="stylesheet" href="{_url("swagger-ui.css")}"><link rel="stylesheet" href="{_url("swagger.css")}">',
        '<div id="swagger-ui"></div>',
        "swagger-ui-bundle.js",
        "swagger.js",
    )


@router.get("/redoc")
async def show_redoc(request: Request) -> HTMLResponse:
    """Respond with ReDoc, to read the whole document."""
    document = public_path("/openapi.json")
    body = f'<redoc spec-url="{document}"></redoc>'
    return _page(request, "<style>body{margin:0}</style>", body, "redoc.standalone.js")


def _page(request: Request, head: str, body: str, *scripts: str) -> HTMLResponse:
    loaded = "".join(f'<script src="{_url(each)}"></script>' for each in scripts)
    return HTMLResponse(
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{request.app.title}</title><link rel="icon" href="{public_path("/favicon.ico")}">{head}'
        f"<body>{body}{loaded}</body></html>"
    )


def _url(name: str) -> str:
    return public_path(f"/static/{name}")

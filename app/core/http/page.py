"""The frame of the service's own pages for people: readable on a phone, and without anything from elsewhere."""

from collections.abc import Mapping, Sequence

from fastapi.responses import HTMLResponse

from app.core.http.public_path import public_path

STYLE = (
    "body{font:1.1rem/1.6 system-ui,sans-serif;max-width:42rem;margin:0 auto;padding:1rem;overflow-wrap:break-word}"
    "nav a{display:inline-block;padding-block:.4rem;padding-inline-end:1rem}li{padding:.3rem 0}"
    "code{background:#8883;padding:0 .2em}"
    ":root{color-scheme:light dark}"
)
NAVIGATION = {"/": "Start", "/docs": "Try the API", "/redoc": "Reference", "/problems": "All problems"}

DIRECTIONS = {"en": "ltr", "ur": "rtl"}  # of the languages of pages


def page(
    title: str, body: Sequence[str], language: str = "en", navigation: Mapping[str, str] = NAVIGATION, style: str = ""
) -> HTMLResponse:
    """Respond with a page: its title, the links to the others, and ``body``, HTML in one of ``DIRECTIONS``."""
    head = (
        f'<!doctype html><html lang="{language}" dir="{DIRECTIONS[language]}"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{title}</title><link rel="icon" href="{public_path("/favicon.ico")}"><style>{STYLE}{style}</style>'
    )
    links = "".join(link(path, text) for path, text in navigation.items())
    return HTMLResponse(f"{head}<nav>{links}</nav><main><h1>{title}</h1>{''.join(body)}</main></html>")


def link(path: str, text: str) -> str:
    """Return a link to a path of the service; ``text`` is HTML."""
    return f'<a href="{public_path(path)}">{text}</a>'

"""What every answer tells browsers and caches: what it may load and embed, and that what is someone's is not kept."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# What a page of ours may load: only what this service serves itself, whose network may have no way out. The pages of
# the documentation carry their start script and styles inline; ReDoc searches in a worker of its own.
PAGE_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)
NO_PAGE_POLICY = "default-src 'none'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
HTTPS_ONLY = "max-age=31536000; includeSubDomains"  # a year, RFC 6797
SOMEONES = ("/v1/", "/oauth/")


def add_headers(headers: MutableHeaders, path: str, *, https: bool) -> None:
    """Add what every answer has.

    ``https`` says whether callers reach the service by HTTPS; then browsers are told to use nothing else.
    """
    is_page = headers.get("content-type", "").startswith("text/html")
    headers["Content-Security-Policy"] = PAGE_POLICY if is_page else NO_PAGE_POLICY
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "no-referrer"
    if https:
        headers["Strict-Transport-Security"] = HTTPS_ONLY
    if path.startswith(SOMEONES):
        headers.setdefault("Cache-Control", "no-store")


class ResponseHeadersMiddleware:
    """Adds the headers to every answer, whoever made it, as ``add_headers`` says. Pure ASGI."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self.app = app
        self._https = https

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                add_headers(MutableHeaders(scope=message), scope["path"], https=self._https)
            await send(message)

        await self.app(scope, receive, with_headers)

"""The front page: a greeting for a person's browser, and links for a program."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from app.core.http.page import link, page
from app.core.http.strict_route import StrictRoute
from app.core.settings import Settings

router = APIRouter(route_class=StrictRoute, include_in_schema=False)
LINKS = {
    "docs": "/docs",
    "reference": "/redoc",
    "openapi": "/openapi.json",
    "problems": "/problems",
    "token": "/oauth/token",
    "metadata": "/.well-known/oauth-authorization-server",
    "keys": "/.well-known/jwks.json",
    "registrations": "/v1/registrations",
    "bulk_uploads": "/v1/bulk-uploads",
    "allowlist": "/v1/allowlist",
    "events": "/v1/events",
    "status": "/status",
    "verify": "/verify",
    "health": "/health/ready",
}
GREETING = (
    "<p>The register of IP addresses used for VPNs and static-IP services. Partners register applicants and their "
    "networks, officers decide, operators read the allowlist.</p>"
    "<p>Programs find the service's URLs here as JSON. Ask the operators of this register for a client.</p>"
)


@router.get("/")
async def greet(request: Request) -> Response:
    """Respond with a page for a person, and with the URLs of the service for a program, by ``Accept``."""
    vary = {"Vary": "Accept"}
    if "text/html" in request.headers.get("accept", ""):
        status = link("/status", "Is my registration in force?")
        found = page(request.app.title, [GREETING, f"<p>{status} Ask with the receipt that you were given.</p>"])
        found.headers.update(vary)
        return found
    settings: Settings = request.app.state.settings
    urls = {name: settings.public_url + path for name, path in LINKS.items()}
    return JSONResponse({"name": request.app.title, "version": request.app.version, "links": urls}, headers=vary)

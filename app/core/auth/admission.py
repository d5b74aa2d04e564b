"""Admission of a request: the principal that it acts for, in its scope and in its log lines."""

from fastapi import Request

from app.core.auth import auth_events
from app.core.auth.auth_events import Way
from app.core.principal import Principal


def admit(request: Request, principal: Principal, way: Way) -> None:
    """Let a request act for a principal that was authenticated by ``way``, and name it in the request's log lines."""
    request.scope["principal"] = principal
    auth_events.succeeded(way, *principal.named)

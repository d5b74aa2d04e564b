"""Admission: binds an authenticated principal to a request and its log lines."""

from fastapi import Request

from app.core.auth.auth_events import Method, record_success
from app.core.principal import Principal


def admit(request: Request, principal: Principal, method: Method) -> None:
    """Put a principal that was authenticated by ``method`` into the scope of a request and its log lines."""
    request.scope["principal"] = principal
    record_success(method, *principal.id_texts)

"""The path of PUBLIC_URL, under which a reverse proxy shows the service's own paths.

Inside the service paths have no prefix. What callers are told has it: ``Location`` and ``Link``, problems, links of
pages. It makes no difference whether the proxy strips the prefix of a request or not.
"""

from contextvars import ContextVar

from starlette.types import Scope

METADATA = "/.well-known/oauth-authorization-server"
_prefix: ContextVar[str] = ContextVar("path_prefix", default="")
RawHeaders = list[tuple[bytes, bytes]]


def set_prefix(prefix: str) -> None:
    """Set the prefix, such as ``/registry`` or an empty text, for this request, or for what a process starts next."""
    _prefix.set(prefix)


def public_path(path: str) -> str:
    """Return a path of the service as callers see it."""
    return _prefix.get() + path


def own_path(path: str, prefix: str) -> str:
    """Return the path of a request without the prefix.

    The metadata of an issuer with a path have the path at their end (RFC 8414, 3.1).
    """
    if not prefix:
        return path
    if path == prefix:
        return "/"
    own = path.removeprefix(prefix) if path.startswith(f"{prefix}/") else path
    return METADATA if own == METADATA + prefix else own


def own_scope(scope: Scope, prefix: str) -> Scope:
    """Return a copy of the scope of a request, with the service's own path."""
    return {**scope, "path": own_path(scope["path"], prefix), "root_path": ""}


def show_prefix(headers: RawHeaders, prefix: str) -> None:
    """Add the prefix to the paths in the ``Location`` and ``Link`` of a response."""
    for index, (name, value) in enumerate(headers):
        if name.lower() == b"location" and value.startswith(b"/"):
            headers[index] = (name, prefix.encode() + value)
        elif name.lower() == b"link" and value.startswith(b"</"):
            headers[index] = (name, b"<" + prefix.encode() + value[1:])

"""Entity tags and the ``If-Match`` precondition (RFC 9110, 8.8.3 and 13.1.1)."""

from typing import Protocol

from app.core.errors import VersionMismatch


class HasVersion(Protocol):
    """A resource with a version."""

    @property
    def version(self) -> int:
        """The number that each change raises."""
        ...


def etag_of(resource: HasVersion) -> str:
    """Return the strong entity tag of a resource: its version in quotes."""
    return f'"{resource.version}"'


class IfMatch:
    """The entity tags listed in an ``If-Match`` header."""

    def __init__(self, header: str) -> None:
        self._tags = {tag.strip() for tag in header.split(",")}

    def check(self, resource: HasVersion) -> None:
        """Raise ``VersionMismatch`` unless the resource has one of the tags."""
        if "*" not in self._tags and etag_of(resource) not in self._tags:
            raise VersionMismatch(f"The resource is at version {resource.version}.")


ANY_VERSION = IfMatch("*")

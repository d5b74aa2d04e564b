"""Which version a change is made to: entity tags and ``If-Match`` (RFC 9110, 8.8.3 and 13.1.1)."""

from typing import Protocol

from app.core.errors import VersionMismatch


class HasVersion(Protocol):
    """What an entity tag can be made of."""

    @property
    def version(self) -> int:
        """The number that each change raises."""
        ...


def etag(version: int) -> str:
    """A strong entity tag: the version in quotes."""
    return f'"{version}"'


def etag_of(resource: HasVersion) -> str:
    """The entity tag of a resource as it is."""
    return etag(resource.version)


class IfMatch:
    """The versions that a change may be made to, as the header lists them."""

    def __init__(self, header: str) -> None:
        self._tags = {tag.strip() for tag in header.split(",")}

    def check(self, resource: HasVersion) -> None:
        """Raises ``VersionMismatch`` unless the resource is at one of the versions."""
        if "*" not in self._tags and etag_of(resource) not in self._tags:
            raise VersionMismatch(f"The resource is at version {resource.version}.")


ANY_VERSION = IfMatch("*")

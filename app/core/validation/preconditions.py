"""Entity tags and the ``If-Match`` precondition (RFC 9110, 8.8.3 and 13.1.1)."""

import re
from typing import Protocol

from app.core.errors import Invalid, InvalidValue, VersionMismatch

# Of RFC 9110, 8.8.3 and 5.6.1: entity tags in a list, which may have empty elements.
_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_TAGS = re.compile(rf"[\s,]*+{_TAG}(?:\s*+,[\s,]*+{_TAG})*+[\s,]*+")


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
    """The entity tags listed in an ``If-Match`` header; raises ``Invalid`` for a malformed one.

    ``W/"n"`` counts as ``"n"``: the tag is a version, which stays the same when a proxy compresses the response and
    weakens its tag.
    """

    def __init__(self, header: str) -> None:
        self._is_any = header.strip() == "*"
        if not self._is_any and not _TAGS.fullmatch(header):
            detail = 'Not a list of entity tags. Send the ETag of the resource with its quotes, such as "1", or *.'
            raise Invalid.of([InvalidValue.at("/header/if-match", detail)])
        self._tags = {tag.strip().removeprefix("W/") for tag in header.split(",")}

    def check(self, resource: HasVersion) -> None:
        """Raise ``VersionMismatch`` unless the resource has one of the tags."""
        if not self._is_any and etag_of(resource) not in self._tags:
            raise VersionMismatch(f"The resource is at version {resource.version}.")


ANY_VERSION = IfMatch("*")

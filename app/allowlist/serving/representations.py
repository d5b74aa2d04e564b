"""Representations of the list: its bytes in a format, encoded and compressed once per serial, not per request."""

import asyncio
import gzip
import hashlib
from base64 import b64encode
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import lru_cache, partial
from typing import NamedTuple

from fastapi import Response

from app.allowlist.formats import FORMATS, Listing, Selection
from app.allowlist.serving.build_cache import BuildCache
from app.allowlist.snapshot import Snapshot, Version
from app.core.errors import NotAcceptable
from app.core.http.negotiation import preferred

MAX_CACHE_BYTES = 128 * 1024 * 1024  # of the representations of one list
MAX_LISTS = 2
DIGEST_DIGITS = 16  # hexadecimal: 64 bits distinguish the lists of one serial
EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


class CachePolicy(NamedTuple):
    """The values of ``Cache-Control`` and ``Vary`` (RFC 9111), and of ``Accept-Ranges`` where ranges are served."""

    control: str
    vary: str
    ranges: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The header fields."""
        return {"Cache-Control": self.control, "Vary": self.vary}

    @property
    def full_headers(self) -> dict[str, str]:
        """The header fields of a response with content."""
        return {**self.headers, **({"Accept-Ranges": self.ranges} if self.ranges else {})}


class Responses(NamedTuple):
    """The response with a representation, and the one to a client that has it (304)."""

    full: Response
    not_modified: Response


class Representation:
    """The bytes of one format, selection and content coding at one serial, with their digest and entity tag."""

    def __init__(self, snapshot: Snapshot, name: str, selection: Selection, *, gzipped: bool) -> None:
        format_, listing = FORMATS[name], Listing(snapshot, selection)
        plain = format_.write(listing).encode()
        # without a time, so that the bytes are the same in every process
        self._body = gzip.compress(plain, compresslevel=6, mtime=0) if gzipped else plain
        self._responses: dict[CachePolicy, Responses] = {}
        self.sha256 = hashlib.sha256(plain).digest()  # of the body without content coding
        self.etag = list_tag(snapshot.version, name, selection, gzipped=gzipped)
        self.size = len(self._body)
        self._headers = {"Content-Type": format_.media_type, "Repr-Digest": repr_digest(self.sha256)}
        self._headers |= listing.headers(name)
        if gzipped:
            self._headers["Content-Encoding"] = "gzip"
        if snapshot.published_at:
            self._headers["Last-Modified"] = format_datetime(snapshot.published_at, usegmt=True)

    def responses(self, policy: CachePolicy) -> Responses:
        """The responses under a policy, built once and shared by all requests."""
        if policy not in self._responses:
            headers = {**policy.full_headers, "ETag": self.etag, **self._headers}
            full = Response(self._body, headers=headers)
            self._responses[policy] = Responses(full, not_modified(self.etag, policy))
        return self._responses[policy]


def entity_tag(version: Version, representation: str) -> str:
    """The strong entity tag of a representation of a published list (RFC 9110, 8.8.3), which need not be built.

    It contains the list's digest and, since some formats show it, the time of its publication.
    """
    published = (version.published_at - EPOCH) // MICROSECOND if version.published_at else 0
    digest = version.digest[:DIGEST_DIGITS]
    return f'"{version.session}-{version.serial}-{digest}-{published:x}-{representation}"'


def list_tag(version: Version, name: str, selection: Selection, *, gzipped: bool) -> str:
    """The entity tag of a list in a format; each content coding has another (RFC 9110, 8.8.3.3)."""
    return entity_tag(version, f"{name}{selection.tag}{'-gzip' if gzipped else ''}")


def repr_digest(digest: bytes) -> str:
    """The value of ``Repr-Digest`` for a SHA-256 (RFC 9530)."""
    return f"sha-256=:{b64encode(digest).decode()}:"


def not_modified(tag: str, policy: CachePolicy) -> Response:
    """The 304 response with an entity tag."""
    return Response(None, 304, {**policy.headers, "ETag": tag})


class Representations:
    """Cache of the representations of the newest list and of the one before it, whole or of one family.

    Each is built in a thread, and once for all concurrent requests. ``FeedHistory`` builds and keeps other selections,
    of which there are many.
    """

    def __init__(self) -> None:
        self._caches: OrderedDict[Version, BuildCache[Representation]] = OrderedDict()

    def get(self, version: Version, name: str, selection: Selection, *, gzipped: bool) -> Representation | None:
        """The list in a format if it was built already, else None."""
        cache = self._caches.get(version)
        return cache.get((name, selection, gzipped)) if cache else None

    async def get_or_build(
        self, snapshot: Snapshot, name: str, selection: Selection, *, gzipped: bool
    ) -> Representation:
        """The list in a format."""
        build = partial(Representation, snapshot, name, selection, gzipped=gzipped)
        cache = self._cache_for(snapshot.version)
        return await cache.get_or_build((name, selection, gzipped), lambda: asyncio.to_thread(build))

    def _cache_for(self, version: Version) -> BuildCache[Representation]:
        if version not in self._caches:
            self._caches[version] = BuildCache(MAX_CACHE_BYTES, lambda each: each.size)
            while len(self._caches) > MAX_LISTS:
                self._caches.popitem(last=False)
        return self._caches[version]


@lru_cache(maxsize=64)
def negotiate(accept: str) -> str:
    """The name of the format that an ``Accept`` header prefers (RFC 9110, 12.5.1); JSON if it has no preference.

    Raises ``NotAcceptable``.
    """
    offered: dict[str, str] = {}  # the first format of each media type
    for name, each in FORMATS.items():
        offered.setdefault(each.media_type.partition(";")[0], name)
    best = preferred(accept, offered)
    if best is None:
        raise NotAcceptable(f"The list is available as {', '.join(offered)}.")
    return offered[best]

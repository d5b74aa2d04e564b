"""The bytes of the list in a format: encoded once and compressed once a serial, never once a request."""

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

from app.allowlist.formats import FORMATS
from app.allowlist.serving.build_cache import BuildCache
from app.allowlist.snapshot import Snapshot, Version
from app.core.errors import NotAcceptable

# of each of the lists whose representations are kept
MOST_BYTES = 128 * 1024 * 1024
LISTS_KEPT = 2
DIGEST_DIGITS = 16  # hexadecimal: 64 bits tell lists under one serial apart
EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


class Caching(NamedTuple):
    """How long an answer may be kept, and by what it differs: the values of ``Cache-Control`` and ``Vary``."""

    control: str
    vary: str

    @property
    def fields(self) -> dict[str, str]:
        """As header fields."""
        return {"Cache-Control": self.control, "Vary": self.vary}


class Answers(NamedTuple):
    """What is answered with a representation, and to a caller that holds it."""

    whole: Response
    unchanged: Response


class Representation:
    """The bytes of one format, family and content coding at one serial, with their digest and entity tag."""

    def __init__(self, snapshot: Snapshot, name: str, family: int | None, *, gzipped: bool) -> None:
        chosen = FORMATS[name]
        plain = chosen.write(snapshot, family).encode()
        # the same bytes in every process
        self._body = gzip.compress(plain, compresslevel=6, mtime=0) if gzipped else plain
        self._answers: dict[Caching, Answers] = {}
        # of the body without content coding
        self.sha256 = hashlib.sha256(plain).digest()
        self.etag = list_tag(snapshot.version, name, family, gzipped=gzipped)
        self.size = len(self._body)
        self._described = {"Content-Type": chosen.media_type, "Repr-Digest": repr_digest(self.sha256)}
        if gzipped:
            self._described["Content-Encoding"] = "gzip"
        if snapshot.published_at:
            self._described["Last-Modified"] = format_datetime(snapshot.published_at, usegmt=True)

    def answers(self, caching: Caching) -> Answers:
        """The answers, made once: they are the same for everybody who asks."""
        if caching not in self._answers:
            self._answers[caching] = self._answered(caching)
        return self._answers[caching]

    def _answered(self, caching: Caching) -> Answers:
        described = {**caching.fields, "ETag": self.etag, **self._described}
        return Answers(Response(self._body, headers=described), unchanged(self.etag, caching))


def entity_tag(version: Version, representation: str) -> str:
    """The strong entity tag of what is made of a published list, whether or not it was made (RFC 9110, 8.8.3).

    It carries the list's digest and, since some formats show it, the time of its publication.
    """
    published = (version.published_at - EPOCH) // MICROSECOND if version.published_at else 0
    digest = version.digest[:DIGEST_DIGITS]
    return f'"{version.session}-{version.serial}-{digest}-{published:x}-{representation}"'


def list_tag(version: Version, name: str, family: int | None, *, gzipped: bool) -> str:
    """The entity tag of a list in a format; each content coding has its own (RFC 9110, 8.8.3.3)."""
    return entity_tag(version, f"{name}{family or ''}{'-gzip' if gzipped else ''}")


def repr_digest(digest: bytes) -> str:
    """A SHA-256 as a field value of RFC 9530."""
    return f"sha-256=:{b64encode(digest).decode()}:"


def unchanged(tag: str, caching: Caching) -> Response:
    """The answer to a caller that holds what ``tag`` stands for, which need not be made for it."""
    return Response(None, 304, {**caching.fields, "ETag": tag})


class Representations:
    """The representations in use of the newest list and of the one before it.

    Each is made in a thread, once, however many ask for it at the same time.
    """

    def __init__(self) -> None:
        self._of_lists: OrderedDict[Version, BuildCache[Representation]] = OrderedDict()

    def made(self, version: Version, name: str, family: int | None, *, gzipped: bool) -> Representation | None:
        """The list in a format, when that was made already."""
        made = self._of_lists.get(version)
        return made.get((name, family, gzipped)) if made else None

    async def of(self, snapshot: Snapshot, name: str, family: int | None, *, gzipped: bool) -> Representation:
        """The list in a format, ready to be sent."""
        make = partial(Representation, snapshot, name, family, gzipped=gzipped)
        made = self._made_of(snapshot)
        return await made.get_or_build((name, family, gzipped), lambda: asyncio.to_thread(make))

    def _made_of(self, snapshot: Snapshot) -> BuildCache[Representation]:
        version = snapshot.version
        if version not in self._of_lists:
            self._of_lists[version] = BuildCache(MOST_BYTES, lambda each: each.size)
            while len(self._of_lists) > LISTS_KEPT:
                self._of_lists.popitem(last=False)
        return self._of_lists[version]


@lru_cache(maxsize=64)
def negotiate(accept: str) -> str:
    """The format that an ``Accept`` header prefers (RFC 9110, 12.5.1); JSON where all are equal.

    Raises ``NotAcceptable``.
    """
    offered: dict[str, str] = {}
    for name, each in FORMATS.items():
        offered.setdefault(each.media_type.partition(";")[0], name)
    best, best_weight = None, 0.0
    for media_type, name in offered.items():
        weight = _weight(accept or "*/*", media_type)
        if weight > best_weight:
            best, best_weight = name, weight
    if best is None:
        raise NotAcceptable(f"The list comes as {', '.join(offered)}.")
    return best


def _weight(accept: str, media_type: str) -> float:
    ranges = {}
    for part in accept.split(","):
        media_range, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = next((value[2:] for value in parameters if value.startswith("q=")), "1")
        ranges[media_range] = float(quality) if quality.replace(".", "", 1).isdecimal() else 0.0
    for candidate in (media_type, f"{media_type.partition('/')[0]}/*", "*/*"):
        if candidate in ranges:
            return ranges[candidate]
    return 0.0

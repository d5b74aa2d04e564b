"""The bytes of the list in a format: encoded once and compressed once a serial, never once a request."""

import asyncio
import gzip
import hashlib
from base64 import b64encode
from collections import OrderedDict
from functools import cached_property

from app.allowlist.formats import FORMATS
from app.allowlist.snapshot import Snapshot
from app.core.errors import NotAcceptable

MOST_KEPT = 48


class Representation:
    """The bytes of one format and family at one serial."""

    def __init__(self, snapshot: Snapshot, name: str, family: int | None) -> None:
        chosen = FORMATS[name]
        self.media_type = chosen.media_type
        self.published_at = snapshot.published_at
        self.body = chosen.write(snapshot, family).encode()
        self._tag = f"{snapshot.session}-{snapshot.serial}-{name}{family or ''}"

    @cached_property
    def gzipped(self) -> bytes:
        """The body in gzip, the same bytes in every process."""
        return gzip.compress(self.body, compresslevel=6, mtime=0)

    @cached_property
    def sha256(self) -> bytes:
        """SHA-256 of the body without content coding."""
        return hashlib.sha256(self.body).digest()

    @cached_property
    def repr_digest(self) -> str:
        """``Repr-Digest`` (RFC 9530)."""
        return repr_digest(self.sha256)

    def etag(self, *, gzipped: bool) -> str:
        """The strong entity tag; each content coding has its own (RFC 9110, 8.8.3.3)."""
        return f'"{self._tag}{"-gzip" if gzipped else ""}"'


def repr_digest(digest: bytes) -> str:
    """A SHA-256 as a field value of RFC 9530."""
    return f"sha-256=:{b64encode(digest).decode()}:"


class Representations:
    """The representations in use; each is made in a thread, once, however many ask for it at the same time."""

    def __init__(self) -> None:
        self._made: OrderedDict[tuple[object, ...], asyncio.Task[Representation]] = OrderedDict()

    async def of(self, snapshot: Snapshot, name: str, family: int | None, *, gzipped: bool) -> Representation:
        """The list in a format, ready to be sent."""
        key = (snapshot.session, snapshot.serial, name, family, gzipped)
        if key not in self._made:
            self._made[key] = asyncio.create_task(asyncio.to_thread(_make, snapshot, name, family, gzipped))
            while len(self._made) > MOST_KEPT:
                self._made.popitem(last=False)
        self._made.move_to_end(key)
        try:
            return await asyncio.shield(self._made[key])
        except asyncio.CancelledError:
            raise
        except BaseException:
            self._made.pop(key, None)
            raise


def _make(snapshot: Snapshot, name: str, family: int | None, gzipped: bool) -> Representation:
    made = Representation(snapshot, name, family)
    _ = made.sha256, made.gzipped if gzipped else b""
    return made


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

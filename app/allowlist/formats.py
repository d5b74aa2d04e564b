"""The registry of representations of the list: one small function a format."""

import gzip
import hashlib
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from app.allowlist.schemas import SnapshotBody
from app.allowlist.snapshot import Snapshot
from app.core.errors import NotAcceptable


@dataclass(frozen=True, slots=True)
class Format:
    """How the networks of a snapshot are written, and under which media type."""

    media_type: str
    write: Callable[[Snapshot, Sequence[str]], str]


def _json(snapshot: Snapshot, networks: Sequence[str]) -> str:
    return SnapshotBody.of(snapshot, networks).model_dump_json()


def _lines(_: Snapshot, networks: Sequence[str]) -> str:
    return "".join(f"{network}\n" for network in networks)


def _csv(_: Snapshot, networks: Sequence[str]) -> str:
    return "network\r\n" + "".join(f"{network}\r\n" for network in networks)


FORMATS = {
    "json": Format("application/json", _json),
    "text": Format("text/plain; charset=utf-8", _lines),
    "csv": Format("text/csv; charset=utf-8; header=present", _csv),
}


class Representation:
    """The bytes of one format and family at one serial, made once and compressed once."""

    def __init__(self, snapshot: Snapshot, name: str, family: int | None) -> None:
        chosen = FORMATS[name]
        self.media_type = chosen.media_type
        self.body = chosen.write(snapshot, snapshot.of_family(family)).encode()
        self._tag = f"{snapshot.session}-{snapshot.serial}-{name}{family or ''}"

    @cached_property
    def gzipped(self) -> bytes:
        """The body in gzip, the same bytes in every process."""
        return gzip.compress(self.body, compresslevel=6, mtime=0)

    @cached_property
    def repr_digest(self) -> str:
        """``Repr-Digest`` (RFC 9530) of the body without content coding."""
        return f"sha-256=:{b64encode(hashlib.sha256(self.body).digest()).decode()}:"

    def etag(self, *, gzipped: bool) -> str:
        """The strong entity tag; each content coding has its own (RFC 9110, 8.8.3.3)."""
        return f'"{self._tag}{"-gzip" if gzipped else ""}"'


def negotiate(accept: str) -> str:
    """The format that an ``Accept`` header prefers (RFC 9110, 12.5.1); JSON where all are equal.

    Raises ``NotAcceptable``.
    """
    offered = {each.media_type.partition(";")[0]: name for name, each in FORMATS.items()}
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

"""The entry of a leaf: an event as RFC 8785 writes it, with commitments to what not every reader of it is shown."""

import hmac
from functools import lru_cache
from hashlib import sha256
from typing import Any
from uuid import UUID

import orjson
import rfc8785
from pydantic import BaseModel, Field, JsonValue

from app.audit import tree
from app.core.schemas import Timestamp, rfc3339
from app.events.models import Event
from app.events.store import KEPT_FROM_OPERATORS, Recorded

SALT_BYTES = 32
LARGEST_EXACT = 2**53 - 1
COMMITTED = ("actor_client_id", "remarks")
# the events of a transaction have one moment
_moment = lru_cache(maxsize=1_000)(rfc3339)


class Disclosure(BaseModel):
    """What a commitment of an entry is of: its SHA-256 is that of the canonical JSON of ``[salt, value]``."""

    salt: str = Field(description="64 hexadecimal digits", examples=["0ebc5d34" * 8])
    value: JsonValue = Field(description="What the event holds under this name", examples=[None])


class Entry(BaseModel):
    """What a leaf is the hash of. Whoever is shown the event may be shown all of it.

    ``commitments`` stand for what is shown to some only: the acting client, and an officer's remarks. A salt that
    nobody else knows keeps them from being guessed.
    """

    position: int
    id: UUID
    occurred_at: Timestamp
    name: str
    subject_id: UUID | None
    partner_id: UUID | None
    operator: str | None
    actor_partner_id: UUID | None
    details: dict[str, Any]
    commitments: dict[str, str]


def disclosures(event: Event | Recorded, salt: bytes) -> dict[str, Disclosure]:
    """What the commitments of an event's entry are of, by name; each has a salt of its own, derived from the leaf's."""
    committed = zip(COMMITTED, _salts(salt), (_client(event), _remarks(event)), strict=True)
    return {name: Disclosure(salt=salt, value=value) for name, salt, value in committed}


def entry_of(event: Event | Recorded, position: int, salt: bytes) -> bytes:
    """The bytes that the leaf of an event is the hash of: an ``Entry``, built by hand since it is built for each event.

    Raises ``ValueError`` for numbers that JSON cannot carry.
    """
    salt_of_client, salt_of_remarks = _salts(salt)
    write = _canonical_plain if _is_plain(event.details) else rfc8785.dumps
    return write(
        {
            "actor_partner_id": _text(event.actor_partner_id),
            "commitments": {
                "actor_client_id": sha256(write([salt_of_client, _client(event)])).hexdigest(),
                "remarks": sha256(write([salt_of_remarks, _remarks(event)])).hexdigest(),
            },
            "details": {name: value for name, value in event.details.items() if name not in KEPT_FROM_OPERATORS},
            "id": str(event.id),
            "name": event.name,
            "occurred_at": _moment(event.occurred_at),
            "operator": event.operator,
            "partner_id": _text(event.partner_id),
            "position": position,
            "subject_id": _text(event.subject_id),
        }
    )


def canonical(value: JsonValue) -> bytes:
    """JSON as RFC 8785 writes it, by a fast writer where it writes the same. Raises ``ValueError`` for huge numbers."""
    return _canonical_plain(value) if _is_plain(value) else rfc8785.dumps(value)


def _canonical_plain(value: JsonValue) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _is_plain(value: JsonValue) -> bool:
    """Whether all names are ASCII and all numbers whole and within what JSON carries exactly."""
    if value is None or isinstance(value, str):
        return True
    if isinstance(value, dict):
        return all(name.isascii() and _is_plain(each) for name, each in value.items())
    if isinstance(value, list):
        return all(_is_plain(each) for each in value)
    return isinstance(value, int) and abs(value) <= LARGEST_EXACT


def _salts(salt: bytes) -> list[str]:
    return [hmac.digest(salt, name.encode(), "sha256").hex() for name in COMMITTED]


def _client(event: Event | Recorded) -> str | None:
    return _text(event.actor_client_id)


def _remarks(event: Event | Recorded) -> dict[str, Any]:
    return {name: event.details[name] for name in KEPT_FROM_OPERATORS if name in event.details}


def _text(id_: UUID | None) -> str | None:
    return None if id_ is None else str(id_)


def leaf_of(event: Event | Recorded, position: int, salt: bytes) -> bytes:
    """The hash of an event's leaf."""
    return tree.leaf_hash(entry_of(event, position, salt))

"""The entry of a leaf: an event as RFC 8785 writes it, with commitments to what not every reader of it is shown."""

import hmac
from hashlib import sha256
from typing import Any
from uuid import UUID

import orjson
import rfc8785
from pydantic import BaseModel, Field, JsonValue

from app.audit import tree
from app.core.schemas import Timestamp
from app.events.models import Event
from app.events.store import KEPT_FROM_OPERATORS

SALT_BYTES = 32
LARGEST_EXACT = 2**53 - 1


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


def disclosures(event: Event, salt: bytes) -> dict[str, Disclosure]:
    """What the commitments of an event's entry are of, by name; each has a salt of its own, derived from the leaf's."""
    remarks = {name: event.details[name] for name in KEPT_FROM_OPERATORS if name in event.details}
    client = str(event.actor_client_id) if event.actor_client_id else None
    return {
        name: Disclosure(salt=hmac.digest(salt, name.encode(), "sha256").hex(), value=value)
        for name, value in (("actor_client_id", client), ("remarks", remarks))
    }


def entry_of(event: Event, position: int, salt: bytes) -> bytes:
    """The bytes that the leaf of an event is the hash of. Raises ``ValueError`` for numbers that JSON cannot carry."""
    entry = Entry(
        position=position,
        id=event.id,
        occurred_at=event.occurred_at,
        name=event.name,
        subject_id=event.subject_id,
        partner_id=event.partner_id,
        operator=event.operator,
        actor_partner_id=event.actor_partner_id,
        details={name: value for name, value in event.details.items() if name not in KEPT_FROM_OPERATORS},
        commitments={name: _commitment(each) for name, each in disclosures(event, salt).items()},
    )
    return canonical(entry.model_dump(mode="json"))


def canonical(value: JsonValue) -> bytes:
    """JSON as RFC 8785 writes it, by a fast writer where it writes the same. Raises ``ValueError`` for huge numbers."""
    if _is_plain(value):
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return rfc8785.dumps(value)


def _is_plain(value: JsonValue) -> bool:
    """Whether all names are ASCII and all numbers whole and within what JSON carries exactly."""
    if isinstance(value, dict):
        return all(name.isascii() and _is_plain(each) for name, each in value.items())
    if isinstance(value, list):
        return all(_is_plain(each) for each in value)
    return not isinstance(value, float) and (not isinstance(value, int) or abs(value) <= LARGEST_EXACT)


def _commitment(disclosure: Disclosure) -> str:
    return sha256(canonical([disclosure.salt, disclosure.value])).hexdigest()


def leaf_of(event: Event, position: int, salt: bytes) -> bytes:
    """The hash of an event's leaf."""
    return tree.leaf_hash(entry_of(event, position, salt))

"""The entry of a leaf: an event as RFC 8785 writes it, with commitments to what not every reader of it is shown."""

import hmac
from functools import lru_cache
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

import orjson
import rfc8785
from pydantic import BaseModel, Field, JsonValue

from app.audit import tree
from app.core.validation.schemas import Timestamp, rfc3339
from app.events.models import Event
from app.events.store import ERASABLE, ERASED, REMARKS, RecordedEvent, erasable_details

SALT_BYTES = 32
LARGEST_EXACT = 2**53 - 1
COMMITTED = ("actor_client_id", "remarks")
APART = frozenset((*ERASABLE, ERASED))
# the events of a transaction have one moment
_moment = lru_cache(maxsize=1_000)(rfc3339)


class Erasable(NamedTuple):
    """The commitment to what can be erased of an event; ``salt`` is None once it was erased."""

    salt: bytes | None
    commitment: bytes


class Disclosure(BaseModel):
    """What a commitment of an entry is of: its SHA-256 is that of the canonical JSON of ``[salt, value]``."""

    salt: str = Field(description="64 hexadecimal digits", examples=["0ebc5d34" * 8])
    value: JsonValue = Field(description="What the event holds under this name", examples=[None])


class Entry(BaseModel):
    """What a leaf is the hash of. Whoever is shown the event may be shown all of it.

    ``commitments`` stand for what is shown to some only: the acting client, and an officer's remarks; and, where there
    is some, for what can be erased (``erasable``). A salt that nobody else knows keeps them from being guessed.
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


def disclosures(event: Event | RecordedEvent, salt: bytes, erasable: Erasable | None = None) -> dict[str, Disclosure]:
    """What the commitments of an event's entry are of, by name; each has a salt of its own, derived from the leaf's.

    That of what can be erased is random, and what was erased is not disclosed.
    """
    committed = zip(COMMITTED, _salts(salt), (_client(event), _remarks(event)), strict=True)
    found = {name: Disclosure(salt=salt, value=value) for name, salt, value in committed}
    if erasable and erasable.salt and (value := erasable_details(event.details)):
        found["erasable"] = Disclosure(salt=erasable.salt.hex(), value=value)
    return found


def committed_to(event: Event | RecordedEvent, salt: bytes) -> Erasable | None:
    """The commitment to what can be erased of an event; None where there is nothing."""
    value = erasable_details(event.details)
    return Erasable(salt, sha256(canonical([salt.hex(), value])).digest()) if value else None


def entry_of(event: Event | RecordedEvent, position: int, salt: bytes, erasable: Erasable | None = None) -> bytes:
    """The bytes that the leaf of an event is the hash of: an ``Entry``, built by hand since it is built for each event.

    Without ``erasable`` what can be erased stands in it as it is: so it was before there were such commitments.
    Raises ``ValueError`` for numbers that JSON cannot carry, and where ``erasable`` does not fit the event.
    """
    salt_of_client, salt_of_remarks = _salts(salt)
    write = _canonical_plain if _is_plain(event.details) else rfc8785.dumps
    apart: tuple[str, ...] = REMARKS
    also: dict[str, str] = {}
    if erasable:
        _check(event, erasable)
        apart = (*REMARKS, *APART)
        also = {"erasable": erasable.commitment.hex()}
    return write(
        {
            "actor_partner_id": _text(event.actor_partner_id),
            "commitments": {
                "actor_client_id": sha256(write([salt_of_client, _client(event)])).hexdigest(),
                "remarks": sha256(write([salt_of_remarks, _remarks(event)])).hexdigest(),
                **also,
            },
            "details": {name: value for name, value in event.details.items() if name not in apart},
            "id": str(event.id),
            "name": event.name,
            "occurred_at": _moment(event.occurred_at),
            "operator": event.operator,
            "partner_id": _text(event.partner_id),
            "position": position,
            "subject_id": _text(event.subject_id),
        }
    )


def _check(event: Event | RecordedEvent, erasable: Erasable) -> None:
    """Raises ``ValueError`` unless the event holds what was committed to, or says that it was erased and holds none."""
    if is_erased(event):
        held = {name: each for name, each in event.details.items() if name in APART}
        if held != {ERASED: list(ERASABLE)}:
            raise ValueError("it says that something was erased which is still there")
    elif erasable.salt is None or committed_to(event, erasable.salt) != erasable:
        raise ValueError("what can be erased of it is not what was committed to")


def is_erased(event: Event | RecordedEvent) -> bool:
    """Whether an event says that something of it was erased."""
    return isinstance(event.details, dict) and ERASED in event.details


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


def _client(event: Event | RecordedEvent) -> str | None:
    return _text(event.actor_client_id)


def _remarks(event: Event | RecordedEvent) -> dict[str, Any]:
    return {name: event.details[name] for name in REMARKS if name in event.details}


def _text(id_: UUID | None) -> str | None:
    return None if id_ is None else str(id_)


def leaf_of(event: Event | RecordedEvent, position: int, salt: bytes, erasable: Erasable | None = None) -> bytes:
    """The hash of an event's leaf. Raises as ``entry_of``."""
    return tree.leaf_hash(entry_of(event, position, salt, erasable))

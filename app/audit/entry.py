"""Log entries: the canonical JSON (RFC 8785) of an event, with commitments to the fields that not every reader sees."""

import hmac
from functools import lru_cache
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

import orjson
import rfc8785
from pydantic import BaseModel, Field, JsonValue

from app.audit import tree
from app.core.validation.schemas import Timestamp, format_rfc3339
from app.events.models import Event
from app.events.store import ERASABLE, ERASED, REMARKS, RecordedEvent, erasable_details

SALT_BYTES = 32
# The largest integer of I-JSON (RFC 7493, 2.2); greater ones have no canonical form.
LARGEST_INTEGER = 2**53 - 1
COMMITTED = ("actor_client_id", "remarks")
ERASURE_FIELDS = frozenset((*ERASABLE, ERASED))
# all events of a transaction have the same time
_timestamp = lru_cache(maxsize=1_000)(format_rfc3339)


class ErasableCommitment(NamedTuple):
    """The commitment to the erasable details of an event; ``salt`` is None once they were erased."""

    salt: bytes | None
    commitment: bytes


class Disclosure(BaseModel):
    """The opening of a commitment, which is the SHA-256 of the canonical JSON of ``[salt, value]``."""

    salt: str = Field(description="64 hexadecimal digits", examples=["0ebc5d34" * 8])
    value: JsonValue = Field(description="The value that the event has under this name", examples=[None])


class Entry(BaseModel):
    """The content that a leaf hashes; everyone who may read the event may read all of it.

    ``commitments`` stand for fields that only some readers see: the acting client, and an officer's remarks; and, where
    there are any, for erasable details (``erasable``). A random salt prevents that their values are guessed.
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


def disclosures(
    event: Event | RecordedEvent, salt: bytes, erasable: ErasableCommitment | None = None
) -> dict[str, Disclosure]:
    """Return the openings of all commitments of an event's entry, by name.

    Each has its own salt, derived from that of the leaf; that of erasable details is random. Erased details have no
    opening.
    """
    committed = zip(COMMITTED, _derived_salts(salt), (_client(event), _remarks(event)), strict=True)
    opened = {name: Disclosure(salt=derived, value=value) for name, derived, value in committed}
    if erasable and erasable.salt and (value := erasable_details(event.details)):
        opened["erasable"] = Disclosure(salt=erasable.salt.hex(), value=value)
    return opened


def commit_erasable(event: Event | RecordedEvent, salt: bytes) -> ErasableCommitment | None:
    """Return a commitment to the erasable details of an event; None when it has none."""
    value = erasable_details(event.details)
    return ErasableCommitment(salt, sha256(canonical_json([salt.hex(), value])).digest()) if value else None


def encode_entry(
    event: Event | RecordedEvent, position: int, salt: bytes, erasable: ErasableCommitment | None = None
) -> bytes:
    """Return the canonical JSON of an event's ``Entry``, without making one, since every event passes here.

    Without ``erasable`` the details are written with their erasable part, as in leaves from before such commitments.
    Raises ``ValueError`` for numbers that have no canonical form, and when ``erasable`` does not fit the event.
    """
    client_salt, remarks_salt = _derived_salts(salt)
    write = _fast_canonical_json if _is_fast(event.details) else rfc8785.dumps
    left_out: tuple[str, ...] = REMARKS
    commitments: dict[str, str] = {}
    if erasable:
        _check_erasable(event, erasable)
        left_out = (*REMARKS, *ERASURE_FIELDS)
        commitments = {"erasable": erasable.commitment.hex()}
    return write(
        {
            "actor_partner_id": _text(event.actor_partner_id),
            "commitments": {
                "actor_client_id": sha256(write([client_salt, _client(event)])).hexdigest(),
                "remarks": sha256(write([remarks_salt, _remarks(event)])).hexdigest(),
                **commitments,
            },
            "details": {name: value for name, value in event.details.items() if name not in left_out},
            "id": str(event.id),
            "name": event.name,
            "occurred_at": _timestamp(event.occurred_at),
            "operator": event.operator,
            "partner_id": _text(event.partner_id),
            "position": position,
            "subject_id": _text(event.subject_id),
        }
    )


def _check_erasable(event: Event | RecordedEvent, erasable: ErasableCommitment) -> None:
    """Raise ``ValueError`` unless the event has the committed details, or is marked as erased and has none."""
    if is_erased(event):
        fields = {name: each for name, each in event.details.items() if name in ERASURE_FIELDS}
        if fields != {ERASED: list(ERASABLE)}:
            raise ValueError("details are marked as erased and are still there")
    elif erasable.salt is None or commit_erasable(event, erasable.salt) != erasable:
        raise ValueError("its erasable details are not what was committed to")


def is_erased(event: Event | RecordedEvent) -> bool:
    """True when an event is marked as erased."""
    return isinstance(event.details, dict) and ERASED in event.details


def canonical_json(value: JsonValue) -> bytes:
    """Write JSON by RFC 8785, with orjson where it writes the same. Raises ``ValueError`` for too large integers."""
    return _fast_canonical_json(value) if _is_fast(value) else rfc8785.dumps(value)


def _fast_canonical_json(value: JsonValue) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _is_fast(value: JsonValue) -> bool:
    """True when all names are ASCII and all numbers are integers of I-JSON: orjson then writes as RFC 8785 does."""
    if value is None or isinstance(value, str):
        return True
    if isinstance(value, dict):
        return all(name.isascii() and _is_fast(each) for name, each in value.items())
    if isinstance(value, list):
        return all(_is_fast(each) for each in value)
    return isinstance(value, int) and abs(value) <= LARGEST_INTEGER


def _derived_salts(salt: bytes) -> list[str]:
    return [hmac.digest(salt, name.encode(), "sha256").hex() for name in COMMITTED]


def _client(event: Event | RecordedEvent) -> str | None:
    return _text(event.actor_client_id)


def _remarks(event: Event | RecordedEvent) -> dict[str, Any]:
    return {name: event.details[name] for name in REMARKS if name in event.details}


def _text(id_: UUID | None) -> str | None:
    return None if id_ is None else str(id_)


def event_leaf_hash(
    event: Event | RecordedEvent, position: int, salt: bytes, erasable: ErasableCommitment | None = None
) -> bytes:
    """Return the leaf hash of an event's entry. Raises as ``encode_entry``."""
    return tree.leaf_hash(encode_entry(event, position, salt, erasable))

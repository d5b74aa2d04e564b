"""Entries are canonical JSON (RFC 8785), byte for byte."""

import hmac
from datetime import UTC
from hashlib import sha256
from typing import Any

import orjson
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from app.audit.entry import Entry, canonical_json, disclosures, encode_entry
from app.events.store import RecordedEvent

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
)
OBJECTS = st.dictionaries(TEXT | st.sampled_from(["note", "legal_basis"]), VALUES, max_size=4)
EVENTS = st.builds(
    RecordedEvent,
    id=st.uuids(),
    occurred_at=st.datetimes(timezones=st.just(UTC)),
    name=TEXT,
    subject_id=st.none() | st.uuids(),
    partner_id=st.none() | st.uuids(),
    operator=st.none() | TEXT,
    actor_client_id=st.none() | st.uuids(),
    actor_partner_id=st.none() | st.uuids(),
    details=OBJECTS,
)
SALTS = st.binary(min_size=32, max_size=32)


def entry_by_definition(event: RecordedEvent, position: int, salt: bytes) -> Entry:
    """Return the entry as docs/audit.md describes it."""

    def committed(name: str, value: Any) -> str:
        own = hmac.digest(salt, name.encode(), "sha256").hex()
        return sha256(rfc8785.dumps([own, value])).hexdigest()

    remarks = {name: value for name, value in event.details.items() if name in ("note", "legal_basis")}
    client = str(event.actor_client_id) if event.actor_client_id else None
    return Entry(
        position=position,
        id=event.id,
        occurred_at=event.occurred_at,
        name=event.name,
        subject_id=event.subject_id,
        partner_id=event.partner_id,
        operator=event.operator,
        actor_partner_id=event.actor_partner_id,
        details={name: value for name, value in event.details.items() if name not in remarks},
        commitments={
            "actor_client_id": committed("actor_client_id", client),
            "remarks": committed("remarks", remarks),
        },
    )


@given(EVENTS, st.integers(0, 2**53 - 1), SALTS)
def test_an_encoded_entry_is_the_canonical_json_of_its_schema(event: RecordedEvent, position: int, salt: bytes) -> None:
    entry = entry_by_definition(event, position, salt)
    assert encode_entry(event, position, salt) == rfc8785.dumps(entry.model_dump(mode="json"))


@given(EVENTS, SALTS)
def test_disclosures_open_the_commitments(event: RecordedEvent, salt: bytes) -> None:
    commitments = orjson.loads(encode_entry(event, 0, salt))["commitments"]
    opened = {
        name: sha256(rfc8785.dumps([each.salt, each.value])).hexdigest()
        for name, each in disclosures(event, salt).items()
    }
    assert opened == commitments


@pytest.mark.parametrize("number", [2**53, -(2**53), 2**80])
def test_an_integer_beyond_i_json_is_refused(number: int) -> None:
    with pytest.raises(rfc8785.IntegerDomainError):
        canonical_json({"number": number})


@given(VALUES)
def test_every_value_is_written_as_rfc8785_writes_it(value: object) -> None:
    assert canonical_json(value) == rfc8785.dumps(value)  # type: ignore[arg-type]  # JSON, by its strategy


def test_names_are_sorted_and_control_characters_escaped_as_rfc_8785_says() -> None:
    assert canonical_json({"\u20ac": 1, "\U0001f600": 2, "\ufb33": 3, "a": "\x01\n\x7f/"}) == (
        '{"a":"\\u0001\\n\x7f/","\u20ac":1,"\U0001f600":2,"\ufb33":3}'.encode()
    )

"""The SQL of taking registrations in: what is there already, and what goes in."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    CompoundSelect,
    Insert,
    Integer,
    Text,
    Update,
    Uuid,
    bindparam,
    case,
    cast,
    delete,
    func,
    insert,
    literal,
    not_,
    null,
    select,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, CIDR, JSONB, aggregate_order_by

from app.applicants.store import IDENTITIES, Identity
from app.core.database.base import INSTANT
from app.core.database.batches import Rows, any_of, column_text, json_rows, rows_text, text_columns
from app.core.database.statement import Statement
from app.core.database.transaction import Transaction
from app.core.principal import Principal
from app.events import store as events
from app.operators import store as operators
from app.operators.rules import PrefixTable
from app.registrations import store
from app.registrations.intake.batch import Batch, Stripes
from app.registrations.json_documents import select_json
from app.registrations.models import Registration, RegistrationNetwork, content_by_after
from app.registrations.rules import TRACKS, RegistrationRequest, Status

LOCK_CLASS = 0x52454749
COLUMNS: dict[str, Any] = {
    "id": Uuid, "applicant_id": Uuid, "subject": Text, "track": Text, "purpose": Text, "protocol": Text,
    "operator": Text, "subscriber_id": Text, "reference": Text, "description": Text, "flags": ARRAY(Text),
    "due_at": INSTANT,
}  # fmt: skip
# what the texts of a batch hold; the rest of a case is its applicant's, its submitter's or the track's
GIVEN: dict[str, Any] = {
    "id": Uuid, "applicant": Integer, "track": Text, "purpose": Text, "protocol": Text, "operator": Text,
    "subscriber_id": Text, "reference": Text, "description": Text, "flags": ARRAY(Text),
    "networks": JSONB,
}  # fmt: skip
APPLICANT: dict[str, Any] = {"id": Uuid, "subject": Text}
LISTED: dict[str, Any] = {"registration_id": Uuid, "position": Integer, "network": CIDR}
CORRECTED = ("track", "purpose", "protocol", "operator", "subscriber_id", "reference", "description", "flags")


class ExistingCase(NamedTuple):
    """A case that is there, and what it asks for."""

    id: UUID
    status: str
    asked: RegistrationRequest


class NewCases(NamedTuple):
    """Who hands a batch in, its applicants by their numbers, the places of items that stay out, when tracks are due."""

    submitter: Principal
    bulk_upload_id: UUID | None
    applicants: Sequence[Identity | None]
    left_out: Collection[int]
    due_at: Mapping[str, datetime]


def _locking() -> Rows:
    """No rows, once each lock is taken: in the same order by everyone, so that no two wait for each other."""
    told = text_columns({"number": Integer}).subquery("told")
    ordered = select(told.c.number).order_by(told.c.number).offset(0).subquery("ordered")
    locks = select(func.pg_advisory_xact_lock(LOCK_CLASS, ordered.c.number).label("taken")).cte("locks")
    return select(*_NOTHING).where(cast(locks.c.taken, Text).is_(None))


_NOTHING = (cast(null(), Uuid), cast(null(), Text), cast(null(), Text))
_LOCKING = Statement(_locking())


async def take_locks(tx: Transaction, partner_id: UUID, batch: Batch) -> None:
    """Wait for every other intake that shares addresses or a reference of the partner's with a batch.

    What is read of these addresses and references from then on nobody else changes until the transaction ends.
    """
    await tx.fetch(_LOCKING, number=_numbers(partner_id, batch.stripes))


def _numbers(partner_id: UUID, stripes: Stripes) -> str:
    return column_text(map(str, stripes.of_partner(partner_id)))


@lru_cache
def _arriving(prefixes: CompoundSelect[*tuple[Any, ...]]) -> Statement:
    own = IDENTITIES.cte("own")  # apart, since no part of a UNION may lock rows
    charted = prefixes.subquery("charted")
    known = select(cast(null(), Uuid), charted.c.code, cast(charted.c.prefix, Text))
    return Statement(union_all(select(*own.c), known, _locking()))


async def arrive(tx: Transaction, principal: Principal, asked: Sequence[RegistrationRequest]) -> "Prerequisites":
    """What ``Prerequisites`` holds of a client's items, whose locks are taken, as by ``take_locks``."""
    networks = [network for each in asked for network in each.networks]
    found = await tx.fetch(
        _arriving(operators.prefix_statement(networks)),
        ids=list({each.applicant_id for each in asked}),
        partner_id=principal.partner_id,
        network=column_text(networks),
        number=_numbers(principal.partner_id, Stripes.of_items(asked)),
    )
    applicants = {id_: Identity(id_, *rest) for id_, *rest in found if id_}
    return Prerequisites(applicants, PrefixTable((operator, prefix) for id_, operator, prefix in found if not id_))


class Prerequisites(NamedTuple):
    """What there is around the networks of items, and those of their applicants that are the client's own."""

    applicants: dict[UUID, Identity]
    atlas: PrefixTable


_NETWORKS = cast(Registration.networks, ARRAY(Text))  # which the driver would make objects of
_ASKED = (_NETWORKS if name == "networks" else getattr(Registration, name) for name in RegistrationRequest._fields)
_HELD = Statement(
    select(Registration.id, Registration.status, *_ASKED).where(any_of(Registration.id, bindparam("ids")))
)


async def by_reference(tx: Transaction, known: Collection[UUID]) -> dict[str, ExistingCase]:
    """Cases of the caller's, by their references."""
    found = await tx.fetch(_HELD, ids=list(known)) if known else []
    cases = [ExistingCase(id_, status, RegistrationRequest(*asked)) for id_, status, *asked in found]
    return {each.asked.reference: each for each in cases if each.asked.reference}


def _adding() -> Insert:
    """Cases from the columns of a batch, with the event of each."""
    given = text_columns(GIVEN).cte("given")
    applicant = text_columns(APPLICANT, "applicant_").subquery("applicants")
    values: dict[str, Any] = {
        **{name: given.c[name] for name in GIVEN if name not in ("applicant", "networks")},
        "due_at": case(*((given.c.track == track, bindparam(f"due_{track}", type_=INSTANT)) for track in TRACKS)),
        "applicant_id": applicant.c.id,
        "subject": applicant.c.subject,
        **{name: bindparam(name, type_=Uuid) for name in ("partner_id", "client_id", "bulk_upload_id")},
    }
    taken_in = not_(any_of(given.c.place, bindparam("left_out")))
    rows = select(*values.values()).join(applicant, applicant.c.place == given.c.applicant).where(taken_in)
    # what else a case begins with, PostgreSQL knows
    added = insert(Registration).from_select(list(values), rows, include_defaults=False).cte("added")
    details = func.jsonb_build_object(
        "status", Status.SUBMITTED.value, "networks", given.c.networks, "reference", given.c.reference
    )
    of_case = (given.c.id, values["partner_id"], given.c.operator, details.label("details"))
    submitted = select(*of_case).where(taken_in).order_by(given.c.place)
    by = {"actor_client_id": values["client_id"], "actor_partner_id": values["partner_id"]}
    told = events.insert_events("registration.submitted", submitted, by)
    return told.add_cte(added)


_ADDING = Statement(_adding())


async def add(tx: Transaction, batch: Batch, new: NewCases) -> None:
    """Insert the items of a batch as cases, with the events that tell it."""
    given: dict[str, Any] = {
        **batch.columns,
        "applicant_id": column_text(str(each.id) if each else None for each in new.applicants),
        "applicant_subject": column_text(each.subject if each else None for each in new.applicants),
        "partner_id": new.submitter.partner_id,
        "client_id": new.submitter.client_id,
        "bulk_upload_id": new.bulk_upload_id,
        "left_out": list(new.left_out),
        **{f"due_{track}": due_at for track, due_at in new.due_at.items()},
    }
    await tx.fetch(_ADDING, **given)


# What a case begins anew with when it is handed in again; ``due_at`` is its track's.
HANDED_IN: dict[str, Any] = {
    "reason_codes": [], "note": None, "legal_basis": None, "decided_at": None, "status": Status.SUBMITTED,
    "submitted_at": func.now(),
}  # fmt: skip


def handed_in_by(client_id: UUID) -> dict[str, Any]:
    """What a case begins anew with when a client hands it in again as it is."""
    return {**HANDED_IN, "content_by": content_by_after(literal(client_id, Uuid))}


def _correcting(*, hand_in: bool) -> Update:
    batch = json_rows("corrected", COLUMNS)
    given = {"content_by": content_by_after(bindparam("corrected_by", type_=Uuid))}
    values = (
        given
        | {name: batch.c[name] for name in CORRECTED}
        | ({**HANDED_IN, "due_at": batch.c.due_at} if hand_in else {})
    )
    its_next = {"version": Registration.version + 1, "updated_at": func.now()}
    return update(Registration).where(Registration.id == batch.c.id).values(**its_next, **values)


_CORRECTING = {hand_in: Statement(_correcting(hand_in=hand_in)) for hand_in in (False, True)}


async def correct(tx: Transaction, by: Principal, rows: Sequence[dict[str, Any]], *, hand_in: bool) -> None:
    """Write corrected details to cases, each as its next version, and hand them in again if ``hand_in``."""
    await tx.fetch(_CORRECTING[hand_in], corrected=rows_text(rows), corrected_by=by.client_id)


_LISTED = text_columns(LISTED).subquery("listed")
_TAKEN = select(*(_LISTED.c[name] for name in LISTED)).where(
    not_(any_of(_LISTED.c.registration_id, bindparam("left_out")))
)
_INSERTED = insert(RegistrationNetwork).from_select(list(LISTED), _TAKEN)
_PUTTING = Statement(_INSERTED)


async def put_networks(tx: Transaction, listed: Mapping[str, str], left_out: Collection[UUID] = ()) -> None:
    """Give registrations their networks (the columns of ``batch.networks_listed``), but not those ``left_out``."""
    await tx.fetch(_PUTTING, **listed, left_out=list(left_out))


_PUT = _INSERTED.returning(*RegistrationNetwork.__table__.c).cte("put")
_JUST_PUT = (
    select(func.array_agg(aggregate_order_by(_PUT.c.network, _PUT.c.position)))
    .where(_PUT.c.registration_id == Registration.id)
    .scalar_subquery()
)


@lru_cache(maxsize=1_000)
def _putting(principal: Principal) -> Statement:
    return Statement(select_json(store.fields(principal, _JUST_PUT).where(any_of(Registration.id, bindparam("ids")))))


async def insert_networks_returning_json(
    tx: Transaction,
    principal: Principal,
    ids: Collection[UUID],
    listed: Mapping[str, str],
    left_out: Collection[UUID],
) -> dict[UUID, tuple[int, str]]:
    """``put_networks`` to ``ids``, which have none, and ``store.reread`` of these, in one round trip."""
    found = await tx.fetch(_putting(principal), **listed, ids=list(ids), left_out=list(left_out))
    return {id_: (version, document) for id_, version, document in found}


_TAKING = Statement(delete(RegistrationNetwork).where(any_of(RegistrationNetwork.registration_id, bindparam("ids"))))


async def take_networks(tx: Transaction, ids: Collection[UUID]) -> None:
    """Take the networks of registrations away, before they get others."""
    await tx.fetch(_TAKING, ids=list(ids))

"""SQL of intake: locks and prerequisites, new cases with their events and networks, and corrections."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
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
    null,
    select,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, CIDR, JSONB, aggregate_order_by
from sqlalchemy.orm import aliased

from app.applicants.store import IDENTITIES, Identity
from app.core.database.base import INSTANT, NOW
from app.core.database.batches import Rows, any_of, column_text, json_rows, rows_text, text_columns
from app.core.database.statement import Statement
from app.core.database.transaction import Transaction
from app.core.principal import PartnerKind, Principal
from app.events import store as events
from app.operators import store as operators
from app.operators.rules import PrefixTable
from app.registrations import line_store, store
from app.registrations.intake.batch import Batch, Locks
from app.registrations.intake.eligibility import Accepted
from app.registrations.json_documents import select_json
from app.registrations.models import Registration, RegistrationNetwork, content_by_after
from app.registrations.rules import TRACKS, RegistrationRequest, Status, due_at, due_within

LOCK_CLASS = 0x52454749
DETAILS: dict[str, Any] = {
    "track": Text, "purpose": Text, "protocol": Text, "operator": Text, "subscriber_id": Text, "reference": Text,
    "description": Text, "flags": ARRAY(Text),
}  # fmt: skip
CASES: dict[str, Any] = {"id": Uuid, "applicant_id": Uuid, "subject": Text, **DETAILS}
SUCCESSION: dict[str, Any] = {"replaces": Uuid, "handover_hours": Integer}
NETWORKS: dict[str, Any] = {"registration_id": Uuid, "position": Integer, "network": CIDR}
CORRECTIONS: dict[str, Any] = {"id": Uuid, **DETAILS, "due_at": INSTANT}


class Prerequisites(NamedTuple):
    """The partner's own applicants that items name, and the prefixes around the networks of the items."""

    applicants: Mapping[UUID, Identity]
    prefixes: PrefixTable


def _locks() -> Rows:
    """No rows, once all locks are taken: in the same order by everyone, so that no two wait for each other."""
    given = text_columns({"number": Integer}).subquery("given")
    ordered = select(given.c.number).order_by(given.c.number).offset(0).subquery("ordered")
    locks = select(func.pg_advisory_xact_lock(LOCK_CLASS, ordered.c.number).label("taken")).cte("locks")
    columns = (cast(null(), Uuid), cast(null(), Text), cast(null(), Text))
    return select(*columns).where(cast(locks.c.taken, Text).is_(None))


_TAKE_LOCKS = Statement(_locks())


async def take_locks(tx: Transaction, partner_id: UUID, locks: Locks) -> None:
    """Wait for all other intake with a network or a reference of the partner's in common, until it has committed.

    From then on nobody else changes what is read of these networks and references, until the transaction ends.
    """
    if numbers := locks.numbers(partner_id):
        await tx.fetch(_TAKE_LOCKS, number=column_text(map(str, numbers)))


@lru_cache
def _load_prerequisites(prefixes: CompoundSelect[*tuple[Any, ...]]) -> Statement:
    own = IDENTITIES.cte("own")  # a CTE, since no part of a UNION may lock rows
    around = prefixes.subquery("around")
    rows = select(cast(null(), Uuid), around.c.code, cast(around.c.prefix, Text))
    return Statement(union_all(select(*own.c), rows, _locks()))


async def load_prerequisites(tx: Transaction, partner_id: UUID, items: Sequence[RegistrationRequest]) -> Prerequisites:
    """Take the locks of a partner's items and read what is needed to check them, in one round trip."""
    networks = [network for item in items for network in item.networks]
    found = await tx.fetch(
        _load_prerequisites(operators.prefix_statement(networks)),
        ids=list({item.applicant_id for item in items}),
        partner_id=partner_id,
        network=column_text(networks),
        number=column_text(map(str, Locks.of_items(items).numbers(partner_id))),
    )
    applicants = {id_: Identity(id_, *rest) for id_, *rest in found if id_}
    return Prerequisites(applicants, PrefixTable((operator, prefix) for id_, operator, prefix in found if not id_))


def _insert_cases(columns: Mapping[str, Any]) -> Insert:
    """The insertion of new cases and of an event for each."""
    given = text_columns({**columns, "networks": JSONB}).cte("given")
    values: dict[str, Any] = {
        **{name: given.c[name] for name in columns},
        "due_at": case(*((given.c.track == track, NOW + due_within(track)) for track in TRACKS)),
        **{name: bindparam(name, type_=Uuid) for name in ("partner_id", "client_id", "bulk_upload_id")},
    }
    # without defaults: the other columns have theirs in the database
    cases = insert(Registration).from_select(list(values), select(*values.values()), include_defaults=False)
    details: ColumnElement[Any] = func.jsonb_build_object(
        "status", Status.SUBMITTED.value, "networks", given.c.networks, "reference", given.c.reference
    )
    if "replaces" in columns:
        details = line_store.with_replaces(details, given.c.replaces)
    rows = select(given.c.id, values["partner_id"], given.c.operator, details.label("details"))
    by = {"actor_client_id": values["client_id"], "actor_partner_id": values["partner_id"]}
    submitted = events.insert_events("registration.submitted", rows.order_by(given.c.place), by)
    return submitted.add_cte(cases.cte("cases"))


_INSERT_CASES, _INSERT_SUCCESSORS = (Statement(_insert_cases(each)) for each in (CASES, {**CASES, **SUCCESSION}))


async def insert_cases(tx: Transaction, principal: Principal, batch: Batch) -> None:
    """Insert each item of a batch as a case, without its networks, and record its submission."""
    texts = _case_texts(batch)
    has_successors = any(item.replaces for item in batch.items)
    if has_successors:
        texts["replaces"] = column_text(str(item.replaces) if item.replaces else None for item in batch.items)
        hours = (item.handover_hours for item in batch.items)
        texts["handover_hours"] = column_text(None if each is None else str(each) for each in hours)
    await tx.fetch(
        _INSERT_SUCCESSORS if has_successors else _INSERT_CASES,
        **texts,
        partner_id=principal.partner_id,
        client_id=principal.client_id,
        bulk_upload_id=batch.bulk_upload_id,
    )


def _case_texts(batch: Batch) -> dict[str, str]:
    """The column texts of a batch whose applicants all exist."""
    columns = dict(zip(RegistrationRequest._fields, zip(*batch.items, strict=True), strict=True))
    applicants = [each for each in batch.applicants if each]
    return {
        **{name: column_text(columns[name]) for name in DETAILS if name != "flags"},
        "id": column_text(batch.ids),
        "applicant_id": column_text(str(each.id) for each in applicants),
        "subject": column_text(each.subject for each in applicants),
        "flags": column_text(f"{{{','.join(flags)}}}" for flags in batch.flags),
        # canonical networks have no character that JSON escapes
        "networks": column_text('["' + '","'.join(networks) + '"]' for networks in columns["networks"]),
    }


def _correct(*, resubmit: bool) -> Update:
    given = json_rows("corrections", CORRECTIONS)
    values = {
        "version": Registration.version + 1,
        "updated_at": func.now(),
        "content_by": content_by_after(bindparam("corrected_by", type_=Uuid)),
        **{name: given.c[name] for name in DETAILS},
    }
    again = {**RESUBMITTED, "due_at": given.c.due_at} if resubmit else {}
    return update(Registration).where(Registration.id == given.c.id).values(**values, **again)


# Values that a case gets when it is submitted again, besides those of ``due_at`` and ``content_by``.
RESUBMITTED: dict[str, Any] = {
    "reason_codes": [], "note": None, "legal_basis": None, "decided_at": None, "status": Status.SUBMITTED,
    "submitted_at": NOW,
}  # fmt: skip
_CORRECT = {resubmit: Statement(_correct(resubmit=resubmit)) for resubmit in (False, True)}
_DELETE_NETWORKS = Statement(
    delete(RegistrationNetwork).where(any_of(RegistrationNetwork.registration_id, bindparam("ids")))
)


async def correct(tx: Transaction, principal: Principal, accepted: Sequence[Accepted], *, resubmit: bool) -> None:
    """Write accepted content to the cases that it corrects, each as its next version, and resubmit them if told to."""
    corrections = [(each.existing.id, each) for each in accepted if each.existing]
    if not corrections:
        return
    now = await tx.now()
    rows = [
        {
            "id": id_,
            "flags": each.flags,
            "due_at": due_at(each.request.track, now),
            **{name: getattr(each.request, name) for name in DETAILS if name != "flags"},
        }
        for id_, each in corrections
    ]
    await tx.fetch(_CORRECT[resubmit], corrections=rows_text(rows), corrected_by=principal.client_id)
    await tx.fetch(_DELETE_NETWORKS, ids=[id_ for id_, _ in corrections])
    await insert_networks(tx, ((str(id_), each.request.networks) for id_, each in corrections))


def resubmitted_by(client_id: UUID) -> dict[str, Any]:
    """Return the values that a case gets when a client submits it again as it is, but for ``due_at``."""
    return {**RESUBMITTED, "content_by": content_by_after(literal(client_id, Uuid))}


_GIVEN_NETWORKS = text_columns(NETWORKS).subquery("given")
_INSERT = insert(RegistrationNetwork).from_select(list(NETWORKS), select(*(_GIVEN_NETWORKS.c[n] for n in NETWORKS)))
_INSERT_NETWORKS = Statement(_INSERT)


async def insert_networks(tx: Transaction, networks: Iterable[tuple[str, Sequence[str]]]) -> None:
    """Insert the networks of cases, which have none: pairs of a case's id and its networks in order."""
    await tx.fetch(_INSERT_NETWORKS, **_network_texts(networks))


def _network_texts(networks: Iterable[tuple[str, Sequence[str]]]) -> dict[str, str]:
    rows = [(id_, str(i), network) for id_, listed in networks for i, network in enumerate(listed)]
    return {name: column_text(values) for name, values in zip(NETWORKS, zip(*rows, strict=True), strict=True)}


_INSERTED = _INSERT.returning(*RegistrationNetwork.__table__.c).cte("inserted")
_INSERTED_NETWORKS = (
    select(func.array_agg(aggregate_order_by(_INSERTED.c.network, _INSERTED.c.position)))
    .where(_INSERTED.c.registration_id == Registration.id)
    .scalar_subquery()
)


class NewCase(NamedTuple):
    """A new case: its version, its JSON as its submitter sees it, and its number."""

    version: int
    document: str
    case_number: int


@lru_cache
def _insert_networks_returning_json(kind: PartnerKind) -> Statement:
    fields = store.fields(kind, _INSERTED_NETWORKS)
    documents = select_json(fields.where(any_of(Registration.id, bindparam("ids")))).subquery("documents")
    numbered = aliased(Registration)
    return Statement(select(documents, numbered.case_number).join(numbered, numbered.id == documents.c.id))


async def insert_networks_returning_json(
    tx: Transaction, principal: Principal, networks: Sequence[tuple[str, Sequence[str]]]
) -> dict[UUID, NewCase]:
    """``insert_networks``, and a read of these cases as the caller sees them, in one round trip."""
    ids = [id_ for id_, _ in networks]
    statement = _insert_networks_returning_json(principal.partner_kind)
    found = await tx.fetch(statement, ids=ids, **_network_texts(networks), **store.viewer(principal))
    return {id_: NewCase(*values) for id_, *values in found}


_CASE_NUMBERS = Statement(
    select(Registration.id, Registration.case_number).where(any_of(Registration.id, bindparam("ids")))
)


async def read_new_cases(tx: Transaction, principal: Principal, ids: Sequence[str]) -> dict[UUID, NewCase]:
    """Return cases whose networks are inserted, as the caller sees them."""
    numbers = dict(await tx.fetch(_CASE_NUMBERS, ids=ids))
    documents = await store.read_many(tx, principal, list(numbers))
    return {id_: NewCase(*document, numbers[id_]) for id_, document in documents.items()}

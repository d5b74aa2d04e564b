"""SQL of registrations: reading, locking and updating cases, and recording what happened to them."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import (
    ColumnElement,
    Select,
    Text,
    Uuid,
    and_,
    any_,
    bindparam,
    case,
    cast,
    exists,
    func,
    literal,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from app.core.database.base import NOW
from app.core.database.batches import Rows, any_of
from app.core.database.statement import Statement
from app.core.database.transaction import Transaction
from app.core.errors import Invalid, InvalidValue, NotFound
from app.core.principal import PartnerKind, Principal
from app.events import store as events
from app.partners.models import Client
from app.registrations import line_store
from app.registrations.json_documents import fetch_json_page, json_page, select_fields, select_json
from app.registrations.models import NETWORKS, Registration, RegistrationNetwork
from app.registrations.overlaps import IS_CONTESTED
from app.registrations.rules import OFFICERS_FLAGS, UNDER_REVIEW, Case, Flag, Status
from app.registrations.schemas import Registration as Resource
from app.registrations.schemas import RegistrationsQuery

HIDDEN_FROM_PARTNERS = ("claimed_by", "claim_ends_at")
HIDDEN_FROM_OPERATORS = ("note", "legal_basis", "description")
NOT_SYNCHRONIZED = {"synchronize_session": False}


# The cases visible to a kind of caller: all, those that name the operator, those of the partner. The parameter is in
# ``viewer``, so that all callers of a kind share compiled statements.
_VISIBLE: Mapping[PartnerKind, ColumnElement[bool]] = {
    "regulator": true(),
    "operator": Registration.operator == bindparam("viewer", type_=Text),
    "association": Registration.partner_id == bindparam("viewer", type_=Uuid),
}


def viewer(principal: Principal) -> dict[str, Any]:
    """Return the parameter of ``fields``: an operator's code, or the partner."""
    return {"viewer": principal.operator if principal.partner_kind == "operator" else principal.partner_id}


async def get(tx: Transaction, principal: Principal, registration_id: UUID, *, lock: bool = False) -> Registration:
    """Return a case that the caller may see, locked for a change if told to. Raises ``NotFound``."""
    statement = select(Registration).where(Registration.id == registration_id, _VISIBLE[principal.partner_kind])
    if lock:
        await line_store.lock_lines(tx, Registration.id == registration_id)
        statement = statement.with_for_update(of=Registration)
    registration = await tx.scalar(statement.execution_options(populate_existing=True), viewer(principal))
    if registration is None:
        raise NotFound
    return registration


@lru_cache
def fields(kind: PartnerKind, networks: ColumnElement[Any] = NETWORKS) -> Select[Any]:
    """Select what a caller of a kind sees of the cases visible to it, whose parameter is in ``viewer``.

    ``networks`` may come from elsewhere than their table.
    """
    hidden = () if kind == "regulator" else HIDDEN_FROM_PARTNERS
    if kind == "operator":
        hidden = (*hidden, *HIDDEN_FROM_OPERATORS)
    given = {"networks": networks, "flags": _flags(kind)}
    return select_fields(Resource, Registration, hidden, given).where(_VISIBLE[kind])


def _flags(kind: PartnerKind) -> ColumnElement[Any]:
    """The stored flags, and for officers those that depend on others' cases.

    Earlier versions stored ``contested`` too, which is ignored.
    """
    stored = func.array_remove(Registration.flags, Flag.CONTESTED.value, type_=ARRAY(Text))
    if kind != "regulator":
        return stored
    return case((IS_CONTESTED, func.array_append(stored, Flag.CONTESTED.value, type_=ARRAY(Text))), else_=stored)


@lru_cache
def _read(kind: PartnerKind) -> Statement:
    return Statement(select_json(fields(kind).where(Registration.id == bindparam("id", type_=Uuid))))


async def read(tx: Transaction, principal: Principal, registration_id: UUID) -> tuple[int, str]:
    """Return version and JSON of a case as the caller may see it. Raises ``NotFound``."""
    rows = await tx.fetch(_read(principal.partner_kind), id=registration_id, **viewer(principal))
    if not rows:
        raise NotFound
    _, version, document = rows[0]
    return version, document


@lru_cache
def _read_many(kind: PartnerKind) -> Statement:
    return Statement(select_json(fields(kind).where(any_of(Registration.id, bindparam("ids")))))


async def read_many(tx: Transaction, principal: Principal, ids: Collection[UUID]) -> dict[UUID, tuple[int, str]]:
    """``read`` of those of the cases that the caller may see, by id."""
    found = await tx.fetch(_read_many(principal.partner_kind), ids=list(ids), **viewer(principal))
    return {id_: (version, document) for id_, version, document in found}


async def list_page(
    tx: Transaction, principal: Principal, query: RegistrationsQuery
) -> tuple[Sequence[str], str | None]:
    """Return a page of the cases that the caller may see, as JSON, and the next cursor.

    Raises ``Invalid`` for a filter that only officers may use.
    """
    filters = query.filters()
    if not principal.sees_all:
        _refuse_officers_filters(filters)
    values = _filter_values(filters)
    names = frozenset((name, isinstance(value, tuple)) for name, value in values.items())
    page = _page(principal.partner_kind, names, is_first=query.cursor is None)
    return await fetch_json_page(tx, page, query, list_name="registrations", **values, **viewer(principal))


def _filter_values(filters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of ``_page``: of one value the value, since an index answers an equality in order.

    ``contested`` has the other flags that were asked for with it.
    """
    values = {
        name: value[0] if isinstance(value, tuple) and len(value) == 1 else value for name, value in filters.items()
    }
    flags = filters.get("flag", ())
    if OFFICERS_FLAGS.intersection(flags):
        del values["flag"]
        values["contested"] = tuple(flag for flag in flags if flag not in OFFICERS_FLAGS) or None
    return values


@lru_cache(maxsize=1_000)
def _page(kind: PartnerKind, filters: frozenset[tuple[str, bool]], *, is_first: bool) -> Statement:
    """The statement of a page with these filters, each with True for several values, whatever the values."""
    conditions = [FILTERS[each] if each in FILTERS else _matches(*each) for each in sorted(filters)]
    return json_page(fields(kind).where(*conditions), Registration.id, is_first=is_first)


def _matches(name: str, has_several: bool) -> ColumnElement[bool]:
    column: ColumnElement[Any] = getattr(Registration, name)
    return any_of(column, bindparam(name)) if has_several else column == bindparam(name)


def _refuse_officers_filters(filters: Mapping[str, Any]) -> None:
    """Raises ``Invalid`` for a filter that would tell what the response leaves out."""
    detail = "Only officers of the regulator see {}. Leave the filter out."
    errors = [
        InvalidValue.at(f"/query/{name}", detail.format(name)) for name in HIDDEN_FROM_PARTNERS if name in filters
    ]
    hidden = OFFICERS_FLAGS.intersection(filters.get("flag", ()))
    errors += [InvalidValue.at("/query/flag", detail.format(flag)) for flag in hidden]
    if errors:
        raise Invalid.of(errors)


def _has_flag_of(parameter: str) -> ColumnElement[bool]:
    flags: ColumnElement[bool] = Registration.flags.op("&&")(bindparam(parameter, type_=ARRAY(Text)))
    return flags


OVERLAPPING = RegistrationNetwork.network.op("&&")(bindparam("network"))
# Filters other than by the value of a column, each with True for several values.
FILTERS = {
    ("flag", False): bindparam("flag", type_=Text) == any_(Registration.flags),
    ("flag", True): _has_flag_of("flag"),
    ("contested", False): IS_CONTESTED,
    ("contested", True): or_(IS_CONTESTED, _has_flag_of("contested")),
    ("network", False): exists().where(RegistrationNetwork.registration_id == Registration.id, OVERLAPPING),
}


CASE: Rows = select(
    Registration.id,
    Registration.version,
    Registration.status,
    Registration.partner_id,
    Registration.client_id,
    Registration.operator,
    Registration.claimed_by,
    Registration.content_by,
    Registration.claim_ends_at,
    Registration.flags,
    Registration.replaces,
    Registration.handover_hours,
)


async def lock_cases(tx: Transaction, condition: ColumnElement[bool], limit: int) -> AsyncIterator[Sequence[Case]]:
    """Lock the cases that meet a condition in the order of their ids, up to ``limit`` at a time.

    Their lines are locked before, all at once.
    """
    await line_store.lock_lines(tx, condition)
    statement = CASE.where(condition).order_by(Registration.id).limit(limit).with_for_update(of=Registration)
    cases = [Case(*row) for row in await tx.execute(statement)]
    while cases:
        yield cases
        after = Registration.id > cases[-1].id
        cases = [Case(*row) for row in await tx.execute(statement.where(after))] if len(cases) == limit else []


def with_ids(ids: Sequence[UUID]) -> ColumnElement[bool]:
    """Return the condition of having one of these ids."""
    return any_of(Registration.id, ids)


def of_upload(bulk_upload_id: UUID, status: str) -> ColumnElement[bool]:
    """Return the condition of having come in an upload and being in a status."""
    return and_(Registration.bulk_upload_id == bulk_upload_id, Registration.status == status)


def under_review() -> ColumnElement[bool]:
    """Return the condition of waiting for a decision."""
    return any_of(Registration.status, sorted(UNDER_REVIEW))


def past_expiry() -> ColumnElement[bool]:
    """Return the condition of being an approval whose time has passed."""
    return and_(Registration.status == Status.APPROVED, Registration.expires_at <= NOW)


def claimed_too_long(hours: int) -> ColumnElement[bool]:
    """Return the condition of having a claim whose time has passed: ``hours``, if it was made without an end."""
    end = func.coalesce(Registration.claim_ends_at, Registration.updated_at + timedelta(hours=hours))
    return and_(Registration.status == Status.IN_REVIEW, end <= NOW)


def claimed_by_disabled() -> ColumnElement[bool]:
    """Return the condition of being claimed by a client that has been disabled."""
    disabled = select(Client.id).where(Client.disabled_at.is_not(None))
    return and_(Registration.status == Status.IN_REVIEW, Registration.claimed_by.in_(disabled))


async def ids_where(tx: Transaction, condition: ColumnElement[bool], limit: int | None = None) -> list[UUID]:
    """Return the ids of the cases that meet a condition, or of up to ``limit`` of them."""
    return list(await tx.scalars(select(Registration.id).where(condition).limit(limit)))


def ids_of_partner(partner_id: UUID) -> Rows:
    """Select the ids of the cases of a partner."""
    return select(Registration.id).where(Registration.partner_id == partner_id)


def networks_of(ids: Sequence[UUID]) -> Rows:
    """Select network, registration id and subject of every network of these cases, by id and position."""
    return (
        select(RegistrationNetwork.network, Registration.id, Registration.subject)
        .join(Registration, RegistrationNetwork.registration_id == Registration.id)
        .where(with_ids(ids))
        .order_by(Registration.id, RegistrationNetwork.position)
    )


async def update_cases(tx: Transaction, ids: Sequence[UUID], values: dict[str, Any]) -> None:
    """Give cases new values, each as its next version."""
    await tx.execute(
        update(Registration)
        .where(with_ids(ids))
        .values(version=Registration.version + 1, updated_at=func.now(), **values)
        .execution_options(**NOT_SYNCHRONIZED)
    )


def _submitted() -> Rows:
    content = func.jsonb_build_object(
        "status", Registration.status, "networks", Registration.networks, "reference", Registration.reference
    )
    details = line_store.with_replaces(content, Registration.replaces.expression)
    columns = (Registration.id, Registration.partner_id, Registration.operator, details.label("details"))
    return select(*columns).where(any_of(Registration.id, bindparam("ids"))).order_by(Registration.id)


_BY = {name: bindparam(name, type_=Uuid) for name in ("actor_client_id", "actor_partner_id")}
_RECORD_SUBMITTED = Statement(events.insert_events("registration.submitted", _submitted(), _BY))


async def record_submitted(tx: Transaction, actor: Principal, ids: Sequence[UUID]) -> None:
    """Record that existing cases were submitted again."""
    if not ids:
        return
    by = {"actor_client_id": actor.client_id, "actor_partner_id": actor.partner_id}
    await tx.fetch(_RECORD_SUBMITTED, ids=list(ids), **by)


def event_rows(ids: Sequence[UUID], details: dict[str, Any]) -> Rows:
    """Select the rows of ``events.insert_events`` for cases that have the same details, but for their own content."""
    given = cast(literal(to_json(details).decode(), Text), JSONB)
    content = func.jsonb_build_object("networks", Registration.networks, "reference", Registration.reference)
    merged = given.op("||", return_type=JSONB)(content).label("details")
    columns = (Registration.id, Registration.partner_id, Registration.operator, merged)
    return select(*columns).where(with_ids(ids)).order_by(Registration.id)

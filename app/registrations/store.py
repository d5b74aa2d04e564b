"""Reading registrations, and moving them from status to status."""

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime, timedelta
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
    false,
    func,
    literal,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from app.core.database.batches import Rows, any_of
from app.core.database.statement import Statement
from app.core.database.transaction import Transaction
from app.core.errors import Invalid, InvalidValue, NotFound
from app.core.principal import Principal
from app.events import store as events
from app.partners.models import Client
from app.registrations.json_documents import fetch_json_page, json_page, select_fields, select_json
from app.registrations.models import NETWORKS, Registration, RegistrationNetwork
from app.registrations.overlaps import IS_CONTESTED
from app.registrations.rules import OFFICERS_FLAGS, Case, Flag, Status
from app.registrations.schemas import Registration as Resource
from app.registrations.schemas import RegistrationsQuery

HIDDEN_FROM_PARTNERS = ("claimed_by", "claim_ends_at")
HIDDEN_FROM_OPERATORS = ("note", "legal_basis", "description")
NOT_SYNCHRONIZED = {"synchronize_session": False}


def visible_to(principal: Principal) -> ColumnElement[bool]:
    """The regulator sees every case, an operator those that name it, an association its own."""
    if principal.sees_all:
        return true()
    if principal.partner_kind == "operator":
        return Registration.operator == principal.operator if principal.operator else false()
    return Registration.partner_id == principal.partner_id


async def get(tx: Transaction, principal: Principal, registration_id: UUID, *, lock: bool = False) -> Registration:
    """One case that the caller may see, locked for a change when ``lock``. Raises ``NotFound``."""
    wanted = and_(Registration.id == registration_id, visible_to(principal))
    statement = select(Registration).where(wanted)
    if lock:
        statement = statement.with_for_update(of=Registration)
    registration = await tx.scalar(statement.execution_options(populate_existing=True))
    if registration is None:
        raise NotFound
    return registration


@lru_cache(maxsize=1_000)
def fields(principal: Principal, networks: ColumnElement[Any] = NETWORKS) -> Select[Any]:
    """What the caller is shown of the cases that it may see; ``networks`` may come from elsewhere than their table."""
    hidden = () if principal.sees_all else HIDDEN_FROM_PARTNERS
    if principal.partner_kind == "operator":
        hidden = (*hidden, *HIDDEN_FROM_OPERATORS)
    given = {"networks": networks, "flags": _flags(principal)}
    return select_fields(Resource, Registration, hidden, given).where(visible_to(principal))


def _flags(principal: Principal) -> ColumnElement[Any]:
    """Flags that are kept, and for officers those that depend on others' cases.

    Earlier versions kept ``contested`` as well, which counts for nothing.
    """
    kept = func.array_remove(Registration.flags, Flag.CONTESTED.value, type_=ARRAY(Text))
    if not principal.sees_all:
        return kept
    return case((IS_CONTESTED, func.array_append(kept, Flag.CONTESTED.value, type_=ARRAY(Text))), else_=kept)


@lru_cache(maxsize=1_000)
def _one(principal: Principal) -> Statement:
    return Statement(select_json(fields(principal).where(Registration.id == bindparam("id", type_=Uuid))))


async def read(tx: Transaction, principal: Principal, registration_id: UUID) -> tuple[int, str]:
    """Version and JSON of one case as the caller may see it. Raises ``NotFound``."""
    rows = await tx.fetch(_one(principal), id=registration_id)
    if not rows:
        raise NotFound
    _, version, document = rows[0]
    return version, document


@lru_cache(maxsize=1_000)
def _these(principal: Principal) -> Statement:
    return Statement(select_json(fields(principal).where(any_of(Registration.id, bindparam("ids")))))


async def reread(tx: Transaction, principal: Principal, ids: Collection[UUID]) -> dict[UUID, tuple[int, str]]:
    """``read`` of those of ``ids`` that the caller may see, in a transaction that may have changed them."""
    found = await tx.fetch(_these(principal), ids=list(ids))
    return {id_: (version, document) for id_, version, document in found}


async def list_page(
    tx: Transaction, principal: Principal, query: RegistrationsQuery
) -> tuple[Sequence[str], str | None]:
    """A page of the cases that the caller may see, each as its JSON. Raises ``Invalid`` for a filter not open to it."""
    filters = query.filters()
    is_contested = query.flag in OFFICERS_FLAGS
    if not principal.sees_all:
        _refuse_officers_filters(filters, is_contested=is_contested)
    names = {"contested" if name == "flag" and is_contested else name for name in filters}
    page = _page(principal, frozenset(names), is_first=query.cursor is None)
    return await fetch_json_page(tx, page, query, list_name="registrations")


@lru_cache(maxsize=1_000)
def _page(principal: Principal, filters: frozenset[str], *, is_first: bool) -> Statement:
    """The page with these filters, whatever their values."""
    conditions = [FILTERS[name] if name in FILTERS else _has(name) for name in sorted(filters)]
    return json_page(fields(principal).where(*conditions), Registration.id, is_first=is_first)


def _has(name: str) -> ColumnElement[bool]:
    column: ColumnElement[Any] = getattr(Registration, name)
    return column == bindparam(name)


def _refuse_officers_filters(filters: Collection[str], *, is_contested: bool) -> None:
    """Raises ``Invalid`` for a filter that would tell what the answer leaves out."""
    said = "{} is shown to officers of the regulator alone. Leave the filter out."
    wrong = [InvalidValue.at(f"/query/{name}", said.format(name)) for name in HIDDEN_FROM_PARTNERS if name in filters]
    wrong += [InvalidValue.at("/query/flag", said.format(Flag.CONTESTED))] if is_contested else []
    if wrong:
        raise Invalid.of(wrong)


OVERLAPPING = RegistrationNetwork.network.op("&&")(bindparam("network"))
# Those that are not a column's being equal to something.
FILTERS = {
    "flag": bindparam("flag", type_=Text) == any_(Registration.flags),
    "contested": IS_CONTESTED,
    "network": exists().where(RegistrationNetwork.registration_id == Registration.id, OVERLAPPING),
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
)


async def lock_cases(tx: Transaction, condition: ColumnElement[bool], most: int) -> AsyncIterator[Sequence[Case]]:
    """The cases that meet a condition, locked in the order of their ids, ``most`` at a time."""
    statement = CASE.where(condition).order_by(Registration.id).limit(most).with_for_update(of=Registration)
    cases = [Case(*row) for row in await tx.execute(statement)]
    while cases:
        yield cases
        after = Registration.id > cases[-1].id
        cases = [Case(*row) for row in await tx.execute(statement.where(after))] if len(cases) == most else []


def with_ids(ids: Sequence[UUID]) -> ColumnElement[bool]:
    """The condition of being one of these."""
    return any_of(Registration.id, ids)


def of_upload(bulk_upload_id: UUID, status: str) -> ColumnElement[bool]:
    """The condition of having come in an upload and standing in a status."""
    return and_(Registration.bulk_upload_id == bulk_upload_id, Registration.status == status)


def expired(now: datetime) -> Select[Any]:
    """The ids of approvals whose time has passed."""
    return select(Registration.id).where(Registration.status == Status.APPROVED, Registration.expires_at <= now)


def claimed_too_long(hours: int) -> ColumnElement[bool]:
    """The condition of having a claim whose time has passed; one that was made without an end has ``hours`` too."""
    end = func.coalesce(Registration.claim_ends_at, Registration.updated_at + timedelta(hours=hours))
    return and_(Registration.status == Status.IN_REVIEW, end <= func.now())


def claimed_by_disabled() -> ColumnElement[bool]:
    """The condition of being claimed by a client that has been disabled."""
    disabled = select(Client.id).where(Client.disabled_at.is_not(None))
    return and_(Registration.status == Status.IN_REVIEW, Registration.claimed_by.in_(disabled))


def meeting(condition: ColumnElement[bool]) -> Select[Any]:
    """The ids of the cases that meet a condition."""
    return select(Registration.id).where(condition)


async def ids_of(tx: Transaction, statement: Select[Any]) -> list[UUID]:
    """The ids that a statement gives."""
    return list(await tx.scalars(statement))


def networks_of(ids: Sequence[UUID]) -> Rows:
    """Network, registration id and subject of every network of these cases, by id and position."""
    return (
        select(RegistrationNetwork.network, Registration.id, Registration.subject)
        .join(Registration, RegistrationNetwork.registration_id == Registration.id)
        .where(with_ids(ids))
        .order_by(Registration.id, RegistrationNetwork.position)
    )


async def move(tx: Transaction, ids: Sequence[UUID], values: dict[str, Any]) -> None:
    """Give cases new values, each as its next version."""
    await tx.execute(
        update(Registration)
        .where(with_ids(ids))
        .values(version=Registration.version + 1, updated_at=func.now(), **values)
        .execution_options(**NOT_SYNCHRONIZED)
    )


def _submitted() -> Rows:
    details = func.jsonb_build_object(
        "status", Registration.status, "networks", Registration.networks, "reference", Registration.reference
    )
    case_ = (Registration.id, Registration.partner_id, Registration.operator)
    return (
        select(*case_, details.label("details"))
        .where(any_of(Registration.id, bindparam("ids")))
        .order_by(Registration.id)
    )


_BY = {name: bindparam(name, type_=Uuid) for name in ("actor_client_id", "actor_partner_id")}
_TELLING = Statement(events.insert_events("registration.submitted", _submitted(), _BY))


async def record_submitted(tx: Transaction, actor: Principal, ids: Sequence[UUID]) -> None:
    """Record that cases which are there were handed in again."""
    if not ids:
        return
    by = {"actor_client_id": actor.client_id, "actor_partner_id": actor.partner_id}
    await tx.fetch(_TELLING, ids=list(ids), **by)


def decided(ids: Sequence[UUID], details: dict[str, Any]) -> Rows:
    """What is told of cases that were decided alike, each as ``events.insert_events`` takes it."""
    case_ = (Registration.id, Registration.partner_id, Registration.operator)
    said = cast(literal(to_json(details).decode(), Text), JSONB)
    return select(*case_, said.label("details")).where(with_ids(ids)).order_by(Registration.id)

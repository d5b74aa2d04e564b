"""Every SQL statement about whose cases' personal data is to be erased, and about erasing it."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Interval, Select, Text, Uuid, case, func, literal, not_, null, or_, select, true, update
from sqlalchemy.dialects.postgresql import JSONB

from app.allowlist import store as allowlist
from app.applicants.models import Applicant
from app.audit.erasure import ERASURE
from app.core.database.batches import any_of, json_rows, lateral_lookup
from app.core.database.transaction import Transaction
from app.core.principal import Principal
from app.events import store as events
from app.registrations.models import Registration
from app.registrations.rules import CAME_TO_NOTHING, ENDED

ERASED_AT_ONCE = 5_000
TEXTS: dict[str, Any] = {"reference": None, "subscriber_id": None, "description": None}


class Clocks(NamedTuple):
    """How long personal data is kept: after a case came to nothing, after a grant ended, and without any case."""

    came_to_nothing: timedelta
    grant_ended: timedelta
    unused: timedelta


class Standing(NamedTuple):
    """A case because of which its applicant is not erased."""

    registration_id: UUID
    applicant_id: UUID
    status: str


class ErasedCase(NamedTuple):
    """A case whose texts are erased, with the reference that it had."""

    id: UUID
    applicant_id: UUID
    partner_id: UUID
    reference: str | None


async def checked(tx: Transaction, clocks: Clocks, limit: int) -> Sequence[tuple[UUID, datetime | None]]:
    """The applicants whose check is due, and when each is to be erased; None while a case is open or in force.

    The last clock of its cases counts, and that of an unused record from its last change on.
    """
    statement = _due(clocks).where(Applicant.retention_check_at <= func.now())
    found = await tx.execute(statement.order_by(Applicant.retention_check_at).limit(limit))
    return [(id_, due) for id_, due in found]


def _due(clocks: Clocks) -> Select[Any]:
    came_to_nothing, grant_ended, unused = (literal(each, Interval) for each in clocks)
    clock = case((any_of(Registration.status, sorted(CAME_TO_NOTHING)), came_to_nothing), else_=grant_ended)
    is_live = func.bool_or(not_(any_of(Registration.status, sorted(ENDED)))).label("is_live")
    end = func.max(Registration.updated_at + clock).label("end")
    own = lateral_lookup(select(is_live, end).where(Registration.applicant_id == Applicant.id), "own")
    due = case(
        (own.c.is_live, null()),
        (Applicant.erased_at.is_not(None), Applicant.erased_at),  # before subjects and references were erased as well
        else_=func.greatest(own.c.end, Applicant.updated_at + unused),
    )
    return select(Applicant.id, due.label("due")).join(own, true())


async def lock_cases(tx: Transaction, applicant_ids: Collection[UUID]) -> None:
    """Lock the cases of applicants in the order of their ids, before their applicants, as whoever moves one does."""
    cases = select(Registration.id).where(any_of(Registration.applicant_id, applicant_ids))
    await tx.execute(cases.order_by(Registration.id).with_for_update())


async def standing(tx: Transaction, applicant_ids: Collection[UUID]) -> list[Standing]:
    """The cases of applicants that are open or in force, or of which a network is still on the list."""
    is_live = not_(any_of(Registration.status, sorted(ENDED)))
    statement = (
        select(Registration.id, Registration.applicant_id, Registration.status)
        .where(any_of(Registration.applicant_id, applicant_ids), or_(is_live, allowlist.is_listed(Registration.id)))
        .order_by(Registration.id)
    )
    return [Standing(*row) for row in await tx.execute(statement)]


async def cases_after(tx: Transaction, applicant_ids: Collection[UUID], after: UUID) -> list[ErasedCase]:
    """Up to 5,000 cases of applicants after ``after``, in the order of their ids."""
    statement = (
        select(Registration.id, Registration.applicant_id, Registration.partner_id, Registration.reference)
        .where(any_of(Registration.applicant_id, applicant_ids), Registration.id > after)
        .order_by(Registration.id)
        .limit(ERASED_AT_ONCE)
    )
    return [ErasedCase(*row) for row in await tx.execute(statement)]


async def erase(tx: Transaction, subjects: Mapping[UUID, str]) -> None:
    """Erase the texts of these cases and give them other subjects."""
    rows = [{"id": id_, "subject": subject} for id_, subject in subjects.items()]
    given = json_rows("given", {"id": Uuid, "subject": Text}, rows)
    erased = (
        update(Registration)
        .where(Registration.id == given.c.id)
        .values(version=Registration.version + 1, subject=given.c.subject, **TEXTS)
    )
    await tx.execute(erased.execution_options(synchronize_session=False))


async def tell(tx: Transaction, actor: Principal | None, details: Mapping[UUID, dict[str, Any]]) -> None:
    """Record that these cases were erased, with the details of each."""
    rows = [{"id": id_, "details": each} for id_, each in details.items()]
    given = json_rows("given", {"id": Uuid, "details": JSONB}, rows)
    case_ = (Registration.id, Registration.partner_id, Registration.operator)
    happened = select(*case_, given.c.details).join(given, given.c.id == Registration.id).order_by(Registration.id)
    await tx.execute(events.insert_events(ERASURE, happened, events.actor_columns(actor)))

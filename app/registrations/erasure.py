"""SQL of erasure: applicants whose retention time has passed, and the personal data of their cases."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Interval, Select, Text, Uuid, case, func, literal, not_, null, or_, select, true, update
from sqlalchemy.dialects.postgresql import JSONB

from app.allowlist import store as allowlist
from app.applicants.models import Applicant
from app.audit.erasure import ERASURE
from app.core.database.base import NOW
from app.core.database.batches import any_of, json_rows, lateral_lookup
from app.core.database.transaction import Transaction
from app.core.principal import Principal
from app.events import store as events
from app.registrations.models import Registration
from app.registrations.rules import ENDED, NEVER_GRANTED

ERASED_AT_ONCE = 5_000
TEXTS: dict[str, Any] = {"reference": None, "subscriber_id": None, "description": None}


class RetentionPeriods(NamedTuple):
    """Times for which personal data is kept: after a case without a grant, after a grant, and without any case."""

    never_granted: timedelta
    grant_ended: timedelta
    unused: timedelta


class BlockingCase(NamedTuple):
    """A case that prevents the erasure of its applicant."""

    registration_id: UUID
    applicant_id: UUID
    status: str


class ErasedCase(NamedTuple):
    """A case to be erased, with its reference."""

    id: UUID
    applicant_id: UUID
    partner_id: UUID
    reference: str | None


async def due_checks(tx: Transaction, periods: RetentionPeriods, limit: int) -> Sequence[tuple[UUID, datetime | None]]:
    """Return the applicants whose check is due, and when to erase each; None while a case is open or in force.

    The longest retention time of an applicant's cases counts; without cases, that from its last change.
    """
    statement = _erasure_times(periods).where(Applicant.retention_check_at <= NOW)
    found = await tx.execute(statement.order_by(Applicant.retention_check_at).limit(limit))
    return [(id_, erase_at) for id_, erase_at in found]


def _erasure_times(periods: RetentionPeriods) -> Select[Any]:
    never_granted, grant_ended, unused = (literal(each, Interval) for each in periods)
    period = case((any_of(Registration.status, sorted(NEVER_GRANTED)), never_granted), else_=grant_ended)
    is_live = func.bool_or(not_(any_of(Registration.status, sorted(ENDED)))).label("is_live")
    end = func.max(Registration.updated_at + period).label("end")
    own = lateral_lookup(select(is_live, end).where(Registration.applicant_id == Applicant.id), "own")
    erase_at = case(
        (own.c.is_live, null()),
        (Applicant.erased_at.is_not(None), Applicant.erased_at),  # before subjects and references were erased as well
        else_=func.greatest(own.c.end, Applicant.updated_at + unused),
    )
    return select(Applicant.id, erase_at.label("erase_at")).join(own, true())


async def lock_cases(tx: Transaction, applicant_ids: Collection[UUID]) -> None:
    """Lock the cases of applicants in the order of their ids, before the applicants, as every transition does."""
    cases = select(Registration.id).where(any_of(Registration.applicant_id, applicant_ids))
    await tx.execute(cases.order_by(Registration.id).with_for_update())


async def blocking_cases(tx: Transaction, applicant_ids: Collection[UUID]) -> list[BlockingCase]:
    """Return the cases of applicants that are open or in force, or have a network on the allowlist."""
    is_live = not_(any_of(Registration.status, sorted(ENDED)))
    statement = (
        select(Registration.id, Registration.applicant_id, Registration.status)
        .where(any_of(Registration.applicant_id, applicant_ids), or_(is_live, allowlist.is_listed(Registration.id)))
        .order_by(Registration.id)
    )
    return [BlockingCase(*row) for row in await tx.execute(statement)]


async def cases_after(tx: Transaction, applicant_ids: Collection[UUID], after: UUID) -> list[ErasedCase]:
    """Return up to 5,000 cases of applicants with an id above ``after``, in the order of their ids."""
    statement = (
        select(Registration.id, Registration.applicant_id, Registration.partner_id, Registration.reference)
        .where(any_of(Registration.applicant_id, applicant_ids), Registration.id > after)
        .order_by(Registration.id)
        .limit(ERASED_AT_ONCE)
    )
    return [ErasedCase(*row) for row in await tx.execute(statement)]


async def erase(tx: Transaction, subjects: Mapping[UUID, str]) -> None:
    """Erase the texts of cases and give them other subjects."""
    rows = [{"id": id_, "subject": subject} for id_, subject in subjects.items()]
    given = json_rows("given", {"id": Uuid, "subject": Text}, rows)
    erased = (
        update(Registration)
        .where(Registration.id == given.c.id)
        .values(version=Registration.version + 1, subject=given.c.subject, **TEXTS)
    )
    await tx.execute(erased.execution_options(synchronize_session=False))


async def record_erased(tx: Transaction, actor: Principal | None, details: Mapping[UUID, dict[str, Any]]) -> None:
    """Record the erasure of cases, with the details of each event."""
    rows = [{"id": id_, "details": each} for id_, each in details.items()]
    given = json_rows("given", {"id": Uuid, "details": JSONB}, rows)
    networks = func.jsonb_build_object("networks", Registration.networks)
    recorded = given.c.details.op("||", return_type=JSONB)(networks).label("details")
    columns = (Registration.id, Registration.partner_id, Registration.operator, recorded)
    erased = select(*columns).join(given, given.c.id == Registration.id).order_by(Registration.id)
    await tx.execute(events.insert_events(ERASURE, erased, events.actor_columns(actor)))

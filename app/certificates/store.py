"""SQL of certificates: their indexes in the status list, and the statuses that are not valid."""

from collections.abc import Sequence
from datetime import datetime
from secrets import randbelow
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, exists, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql.selectable import ScalarSelect

from app.allowlist.models import Entry
from app.certificates.models import DRAWS, Certificate
from app.certificates.rules import CertificateStatus, list_size
from app.core.database.base import NOW
from app.core.database.transaction import Transaction
from app.core.errors import Unavailable
from app.registrations.models import Registration, RegistrationNetwork
from app.registrations.rules import LISTED, Status

# Half of the list is free, so that each draw finds a free index with a probability of a half and more.
MAX_DRAWS = 64
NOT_SYNCHRONIZED = {"synchronize_session": False}
# Networks that their holder gave back, of a case that may go on with others.
SURRENDERED = Entry.withdrawn_reason == "surrendered"


async def networks_of(tx: Transaction, registration_id: UUID) -> Sequence[str]:
    """Return the networks of a case in their order, without those that were given back."""
    given_back = exists().where(
        SURRENDERED, Entry.registration_id == registration_id, Entry.network == RegistrationNetwork.network
    )
    statement = select(RegistrationNetwork.network).where(
        RegistrationNetwork.registration_id == registration_id, ~given_back
    )
    return (await tx.scalars(statement.order_by(RegistrationNetwork.position))).all()


async def index_for(tx: Transaction, registration_id: UUID, expires_at: datetime) -> int:
    """Return the index of a case's certificate that ends at ``expires_at``; draw one for the first.

    One from before networks were given back is replaced. Raises ``Unavailable`` when no free index was found.
    """
    is_current = and_(Certificate.registration_id == registration_id, Certificate.replaced_at.is_(None))
    outdated = is_current & (Certificate.issued_at <= _last_surrender(registration_id))
    await tx.execute(update(Certificate).where(outdated).values(replaced_at=NOW).execution_options(**NOT_SYNCHRONIZED))
    for _ in range(MAX_DRAWS):
        found = (await tx.execute(select(Certificate.idx, Certificate.expires_at).where(is_current))).one_or_none()
        if found is None:
            await _draw(tx, registration_id, expires_at)
            continue
        if found.expires_at < expires_at:
            longer = update(Certificate).where(Certificate.idx == found.idx).values(expires_at=expires_at)
            await tx.execute(longer.execution_options(**NOT_SYNCHRONIZED))
        idx: int = found.idx
        return idx
    raise Unavailable("No place in the status list was found.")


def _last_surrender(registration_id: UUID) -> ScalarSelect[datetime | None]:
    of_case = select(func.max(Entry.withdrawn_at)).where(SURRENDERED, Entry.registration_id == registration_id)
    return of_case.scalar_subquery()


async def _draw(tx: Transaction, registration_id: UUID, expires_at: datetime) -> None:
    """Insert a certificate with a random index, unless that is taken or another transaction was first."""
    draws = (await tx.execute(select(DRAWS.next_value()))).scalar_one()
    row = {"idx": randbelow(list_size(draws)), "registration_id": registration_id, "expires_at": expires_at}
    await tx.execute(insert(Certificate).values(row).on_conflict_do_nothing())


async def statuses(tx: Transaction) -> tuple[int, Sequence[tuple[int, int]]]:
    """Return the largest index, -1 without any, and the indexes that are not valid with their values.

    What has expired is left out: its end is in the certificate, and the list stays small.
    """
    surrenders = (
        select(Entry.registration_id, func.max(Entry.withdrawn_at).label("at"))
        .where(SURRENDERED)
        .group_by(Entry.registration_id)
        .subquery("surrenders")
    )
    ended: ColumnElement[bool] = or_(Certificate.replaced_at.is_not(None), surrenders.c.at >= Certificate.issued_at)
    is_suspended = and_(Registration.status == Status.SUSPENDED, ended.is_not(True))
    value = case(
        (is_suspended, literal(CertificateStatus.SUSPENDED.value)), else_=literal(CertificateStatus.INVALID.value)
    )
    found = await tx.execute(
        select(Certificate.idx, value)
        .join(Registration, Registration.id == Certificate.registration_id)
        .outerjoin(surrenders, surrenders.c.registration_id == Certificate.registration_id)
        .where(Certificate.expires_at > NOW, or_(ended, Registration.status.not_in(sorted(LISTED))))
    )
    largest = await tx.scalar(select(func.max(Certificate.idx)))
    return -1 if largest is None else largest, [(idx, value) for idx, value in found]

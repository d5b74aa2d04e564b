"""Cases that share addresses with one another: what happens to one may change whether others are contested."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, Update, and_, any_, case, func, literal, select, true, update
from sqlalchemy.orm import aliased

from app.core.asking import Asker
from app.core.compiled import Compiled
from app.core.db import ReadSession
from app.core.orm import Rows, among, is_among, looked_up
from app.registrations.models import IS_OPEN, Registration, RegistrationNetwork
from app.registrations.rules import OPEN, Flag

IS_CONTESTED = literal(Flag.CONTESTED) == any_(Registration.flags)


async def lock(session: ReadSession, condition: ColumnElement[bool]) -> None:
    """Lock the contested cases that meet a condition together with the others of their contests, in the order of ids.

    What happens to one changes the others' flags: two that happen at once take turns instead of waiting for each other.
    """
    contested = list(await session.scalars(select(Registration.id).where(condition, IS_CONTESTED)))
    if contested:
        async with session.beyond_tenancy():
            others = list(await sharing_addresses(session, contested))
            ordered = select(Registration.id).where(among(Registration.id, others)).order_by(Registration.id)
            await session.execute(ordered.with_for_update(of=Registration))


_FLAGGED = Compiled(select(Registration.id).where(is_among(Registration.id, "ids"), IS_CONTESTED))


async def refresh(session: Asker, ids: Sequence[UUID]) -> None:
    """Set or clear the flag ``contested`` on ``ids`` and on the cases, whosever, that share addresses with them.

    A case that is no longer open is not contested.
    """
    if not ids:
        return
    async with session.beyond_tenancy():
        flagged = {id_ for (id_,) in await session.fetch(_FLAGGED, {"ids": list(ids)})}
        touched = await sharing_addresses(session, ids) | flagged
        if touched:
            await session.fetch(_FLAGGING, {"ids": list(touched)})


def _sharing() -> Rows:
    mine, theirs = aliased(RegistrationNetwork), aliased(RegistrationNetwork)
    met = looked_up(select(theirs.registration_id).where(theirs.network.op("&&")(mine.network)), "met")
    pairs = select(mine.registration_id, met.c.registration_id.label("other"))
    return pairs.join(met, met.c.registration_id != mine.registration_id).where(is_among(mine.registration_id, "ids"))


_SHARING = Compiled(_sharing())


async def sharing_addresses(session: Asker, ids: Sequence[UUID]) -> set[UUID]:
    """Those of ``ids`` that have addresses in common with another case, whosever, and these others."""
    async with session.beyond_tenancy():
        found = await session.fetch(_SHARING, {"ids": list(ids)})
    return {id_ for pair in found for id_ in pair}


def _shared_with_others() -> ColumnElement[bool]:
    """Whether a case of ``ids`` shares addresses with an open one of another subject."""
    case_, mine = aliased(Registration), aliased(RegistrationNetwork)
    theirs, other = aliased(RegistrationNetwork), aliased(Registration)
    met = looked_up(select(theirs.registration_id).where(theirs.network.op("&&")(mine.network)), "met")
    of_it = and_(other.id == met.c.registration_id, among(other.status, sorted(OPEN)))
    holder = looked_up(select(other.subject).where(of_it), "holder")
    contested = (
        select(mine.registration_id)
        .select_from(mine)
        .join(case_, case_.id == mine.registration_id)
        .join(met, true())
        .join(holder, holder.c.subject != case_.subject)
        .where(is_among(mine.registration_id, "ids"))
    )
    return Registration.id.in_(contested)


def _flagging() -> Update:
    is_contested = and_(IS_OPEN, _shared_with_others())
    without = func.array_remove(Registration.flags, Flag.CONTESTED.value)
    return (
        update(Registration)
        .where(is_among(Registration.id, "ids"), is_contested != IS_CONTESTED)
        .values(
            version=Registration.version + 1,
            updated_at=func.now(),
            flags=case((IS_CONTESTED, without), else_=func.array_append(without, Flag.CONTESTED.value)),
        )
    )


_FLAGGING = Compiled(_flagging())

"""Pages of the event log."""

from collections.abc import Sequence
from typing import Any

from app.core.database.transaction import Transaction
from app.core.principal import Principal
from app.events import store
from app.events.schemas import EventsQuery
from app.events.store import Wanted


async def read_page(tx: Transaction, principal: Principal, query: EventsQuery) -> tuple[Sequence[Any], str | None]:
    """Return the events that a query asks for, and the position to read on from.

    It is None at the end of ``order=newest``, and while the caller has no events. Raises ``Invalid`` for an unknown
    position.
    """
    place, wanted = query.after or query.cursor, Wanted(query.names, query.subject_id)
    if query.order == "newest":
        found = await store.read(tx, principal, after=place, limit=query.limit + 1, newest_first=True, wanted=wanted)
        items = found[: query.limit]
        return items, str(items[-1].id) if len(found) > query.limit else None
    end = None
    if query.start or any(wanted):
        # asked for before the page, so that nothing between is passed over
        newest = await store.read(tx, principal, after=None, limit=1, newest_first=True)
        end = newest[0].id if newest else None
    if query.start:
        return [], str(end) if end else None
    items = await store.read(tx, principal, after=place, limit=query.limit, wanted=wanted)
    last = items[-1].id if items else end or place
    return items, str(last) if last else None

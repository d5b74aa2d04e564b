"""SQL of standing: cases by the numbers of their receipts, and what a case holds on the list."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BindParameter,
    CompoundSelect,
    Text,
    bindparam,
    case,
    cast,
    func,
    literal,
    null,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import aliased

from app.allowlist.models import Entry, Publication
from app.allowlist.models import Holding as EntryHolding
from app.core.database.base import INSTANT
from app.core.database.batches import any_of
from app.core.database.statement import Statement
from app.core.database.transaction import Transaction
from app.enforcers import store as enforcers
from app.enforcers.rules import EnforcerState
from app.registrations.computed_fields import RENEWABLE_FROM
from app.registrations.models import Registration
from app.registrations.rules import Status
from app.standing.rules import Holding, Notice, RegisteredCase

_OF_RECEIPTS = Statement(
    select(Registration.case_number, Registration.id, Registration.receipt_number).where(
        any_of(Registration.case_number, bindparam("case_numbers"))
    )
)
_CASES = Statement(
    select(
        Registration.id,
        Registration.partner_id,
        Registration.status,
        Registration.operator,
        cast(Registration.networks, ARRAY(Text)),  # the driver would make objects of CIDR
        Registration.reason_codes,
        func.least(Registration.created_at, Registration.submitted_at),
        Registration.submitted_at,
        Registration.due_at,
        Registration.decided_at,
        Registration.updated_at,
        Registration.expires_at,
        RENEWABLE_FROM,
        Registration.ends_at,
        Registration.notice_action,
        Registration.notice_effective_at,
    ).where(any_of(Registration.id, bindparam("ids")))
)
_ADDED, _REMOVED = aliased(Publication), aliased(Publication)
_NEVER = cast(null(), INSTANT)


def _holdings() -> CompoundSelect[*tuple[Any, ...]]:
    """Entries by the cases that hold them, and by those that held them before they changed hands."""
    ids: BindParameter[Any] = bindparam("ids")
    network = cast(Entry.network, Text)
    # serial 0 is of an entry that was never published, and there is no such publication
    added = _ADDED.published_at
    held = select(
        Entry.registration_id,
        network,
        func.coalesce(Entry.held_from, Entry.granted_at),
        case((added.is_not(None), func.greatest(added, Entry.held_from))),
        Entry.withdrawn_at,
        _REMOVED.published_at,
        Entry.withdrawn_reason,
        Entry.leaves_at,
    )
    held = held.outerjoin(_ADDED, _ADDED.serial == Entry.added_serial)
    held = held.outerjoin(_REMOVED, _REMOVED.serial == Entry.removed_serial)
    until = EntryHolding.held_until
    was_listed = added < until
    passed_on = select(
        EntryHolding.registration_id,
        network,
        EntryHolding.held_from,
        case((was_listed, func.greatest(added, EntryHolding.held_from))),
        until,
        case((was_listed, until)),
        literal(Status.SUPERSEDED, Text),
        _NEVER,
    )
    passed_on = passed_on.join(Entry, Entry.id == EntryHolding.entry_id)
    passed_on = passed_on.outerjoin(_ADDED, _ADDED.serial == Entry.added_serial)
    return union_all(
        held.where(any_of(Entry.registration_id, ids)), passed_on.where(any_of(EntryHolding.registration_id, ids))
    )


_HOLDINGS = Statement(_holdings())


async def receipt_numbers(tx: Transaction, case_numbers: Collection[int]) -> dict[int, tuple[UUID, int]]:
    """Return the id of each of these cases and the number of its receipt, by the case's number."""
    found = await tx.fetch(_OF_RECEIPTS, case_numbers=list(case_numbers))
    return {case_number: (id_, receipt_number) for case_number, id_, receipt_number in found}


async def read_cases(tx: Transaction, ids: Collection[UUID]) -> dict[UUID, RegisteredCase]:
    """Return those of the cases that the transaction may see, by id."""
    found = await tx.fetch(_CASES, ids=list(ids))
    cases: dict[UUID, RegisteredCase] = {}
    for *values, action, effective_at in found:
        notice = (Notice(action, effective_at),) if action else ()
        cases[values[0]] = RegisteredCase(*values, *notice)
    return cases


async def read_holdings(tx: Transaction, ids: Collection[UUID]) -> Mapping[UUID, Sequence[Holding]]:
    """Return all networks that cases ever held, by the case's id.

    Needs the role of the service: partners do not read whose an entry is.
    """
    holdings = defaultdict[UUID, list[Holding]](list)
    for id_, *values in await tx.fetch(_HOLDINGS, ids=list(ids)):
        holdings[id_].append(Holding(*values))
    return holdings


async def operator_in_step(tx: Transaction, operator: str) -> bool | None:
    """Return whether an operator has loaded the newest list; None when its enforcers say nothing."""
    known = (await enforcers.operator_states(tx, [operator])).get(operator)
    return None if known is None or known.state == EnforcerState.SILENT else known.state == EnforcerState.IN_STEP

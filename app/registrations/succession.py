"""Succession: a case that is approved supersedes the one that it replaces and takes over its networks."""

from collections.abc import Collection, Sequence
from typing import NamedTuple
from uuid import UUID

from app.allowlist.service import Succession
from app.core.database.transaction import Transaction
from app.core.errors import DomainError
from app.core.principal import Principal
from app.registrations import line_store, store
from app.registrations.lines import DEFAULT_HANDOVER_HOURS, succession_refusal
from app.registrations.rules import Case, Status


class Successors(NamedTuple):
    """Cases that would supersede another on approval; ``transfers`` are those of them that replace another partner's.

    ``refused`` has why others may not, by their ids.
    """

    successions: Sequence[Succession]
    transfers: Collection[UUID]
    refused: dict[UUID, DomainError]


async def check_successors(tx: Transaction, cases: Sequence[Case]) -> Successors:
    """Check the cases that those of the locked ``cases`` replace that replace another."""
    found = Successors([], set(), {})
    candidates = [(case, case.replaces) for case in cases if case.replaces]
    if not candidates:
        return found
    replaced = await line_store.lock_replaced(tx, {other for _, other in candidates})
    successions, transfers = list[Succession](), set[UUID]()
    for case, other in candidates:
        if refusal := succession_refusal(replaced.get(other), case.id):
            found.refused[case.id] = refusal
            continue
        hours = DEFAULT_HANDOVER_HOURS if case.handover_hours is None else case.handover_hours
        successions.append(Succession(case.id, other, hours))
        if replaced[other].partner_id != case.partner_id:
            transfers.add(case.id)
    return Successors(successions, transfers, found.refused)


async def supersede(tx: Transaction, officer: Principal, successors: Successors, approved: Collection[UUID]) -> None:
    """End the cases that ``approved`` successors replace, and tell their partners.

    The partner of a transferred case is not told to whom.
    """
    made = [each for each in successors.successions if each.successor in approved]
    if not made:
        return
    await store.update_cases(tx, [each.predecessor for each in made], {"status": Status.SUPERSEDED})
    transferred = [each.predecessor for each in made if each.successor in successors.transfers]
    own = [each.predecessor for each in made if each.successor not in successors.transfers]
    await line_store.record_superseded(tx, officer, own)
    await line_store.record_transferred(tx, officer, transferred)


async def free_replaced(tx: Transaction, cases: Sequence[Case]) -> None:
    """Let other cases replace those that ``cases``, which are rejected, were to replace."""
    await line_store.free_replaced(tx, {case.id: case.replaces for case in cases if case.replaces})

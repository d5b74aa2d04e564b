"""Granting and withdrawing the networks of registrations, and releasing held changes."""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple
from uuid import UUID

from app.allowlist import hand_over_store, publication_store, store
from app.allowlist.hand_over_store import EntryChanges, HeldEntry
from app.allowlist.models import HeldChange
from app.allowlist.store import Cause
from app.core.database.batches import Rows
from app.core.database.notifications import notify
from app.core.database.transaction import Transaction
from app.core.errors import SelfReview
from app.core.principal import Principal
from app.events import store as events
from app.events.store import NewEvent
from app.partners import store as partners

# Of changes that are due by time.
BY_TIME = Cause(None, in_mass=True)


class Succession(NamedTuple):
    """A case that supersedes another on its approval, and the hours for which networks of that one stay."""

    successor: UUID
    predecessor: UUID
    handover_hours: int


# The statement (network, registration id, holder) of the networks of cases, in the order in which they are granted.
NetworksOf = Callable[[Sequence[UUID]], Rows]


async def grant(
    tx: Transaction,
    registration_ids: Sequence[UUID],
    networks_of: NetworksOf,
    cause: Cause,
    successions: Sequence[Succession] = (),
) -> set[UUID]:
    """Grant the networks of registrations: all networks of one, or none; those of successors by a hand-over.

    Returns the registrations that were refused because one of their networks is granted to another registrant.
    """
    refused: set[UUID] = set()
    left, ordinary = list(successions), _without(registration_ids, {each.successor for each in successions})
    while left:
        savepoint = await tx.begin_nested()
        await tx.connection()  # SQLAlchemy sends SAVEPOINT with it
        needing = await _hand_over(tx, left, networks_of, cause)
        failed = await _grant(tx, networks_of(needing), cause) if needing else set[UUID]()
        if not failed:
            await savepoint.commit()
            break
        await savepoint.rollback()
        refused |= failed
        left = [each for each in left if each.successor not in failed]
    if ordinary:
        lacking = await _grant(tx, networks_of(ordinary), cause)
        await store.withdraw(tx, lacking, "suspended", cause)  # their other entries, which are new
        refused |= lacking
    await notify(tx, "allowlist_pending")
    return refused


def _without(ids: Sequence[UUID], others: Collection[UUID]) -> Sequence[UUID]:
    return [each for each in ids if each not in others] if others else ids


async def _grant(tx: Transaction, wanted: Rows, cause: Cause) -> set[UUID]:
    await store.grant(tx, wanted, cause)
    return await store.incomplete_grants(tx, wanted)


async def _hand_over(
    tx: Transaction, successions: Sequence[Succession], networks_of: NetworksOf, cause: Cause
) -> list[UUID]:
    """Give the entries of predecessors to their successors, and change them as ``hand_over.plan`` says.

    Returns the successors that have a network still to be granted.
    """
    moved = await hand_over_store.change_hands(tx, {each.predecessor: each.successor for each in successions})
    entries, wanted = defaultdict[UUID, list[HeldEntry]](list), defaultdict[UUID, list[str]](list)
    for entry in moved:
        entries[entry.registration_id].append(entry)
    for id_, network in await hand_over_store.wanted_networks(
        tx, networks_of([each.successor for each in successions])
    ):
        wanted[id_].append(network)
    changes, needing = EntryChanges(), list[UUID]()
    for each in successions:
        if changes.add(entries[each.successor], wanted[each.successor], each.handover_hours):
            needing.append(each.successor)
    await hand_over_store.apply(tx, changes, cause)
    return needing


async def reinstate(
    tx: Transaction, registration_ids: Sequence[UUID], networks_of: NetworksOf, cause: Cause
) -> set[UUID]:
    """``grant`` the networks of registrations again; those that are still published are not removed."""
    await store.take_back(tx, networks_of(registration_ids))
    return await grant(tx, registration_ids, networks_of, cause)


async def end_hand_overs(tx: Transaction, registration_ids: Sequence[UUID], networks_of: NetworksOf) -> None:
    """Withdraw the networks of registrations whose hand-over has ended, and grant those that waited for it."""
    await hand_over_store.withdraw_leaving(tx, registration_ids, BY_TIME)
    await store.grant(tx, networks_of(registration_ids), BY_TIME)
    await notify(tx, "allowlist_pending")


async def withdraw(tx: Transaction, registration_ids: Collection[UUID], reason: str, cause: Cause) -> None:
    """Withdraw the networks of registrations; ``reason`` is published in the delta."""
    await store.withdraw(tx, registration_ids, reason, cause)
    await notify(tx, "allowlist_pending")


async def release(tx: Transaction, officer: Principal, held_id: UUID) -> HeldChange:
    """Release a held change, so that the next publication includes it; a second release changes nothing.

    Raises ``NotFound``, and ``SelfReview`` when a decision of the same person is part of it.
    """
    held = await publication_store.get_held(tx, held_id, lock=True)
    if held.released_at is None:
        deciders = await publication_store.deciders_of(tx, held_id)
        users = await partners.client_users(tx, officer.client_id, deciders)
        if own := users.possibly_own(deciders):
            detail = "The held change includes your own decision; another officer must release it."
            raise SelfReview(f"{detail} {users.explain(own)}".rstrip())
        await publication_store.release(tx, held, officer.client_id)
        details = {"held_id": str(held_id), "kind": held.kind, "count": held.count}
        await events.record(tx, officer, [NewEvent("allowlist.released", details=details)])
        await notify(tx, "allowlist_pending")
    return held

"""Mail: codes that verify an address, one click to stop, and notices queued from the log."""

import secrets
from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from app.core.database.transaction import Transaction
from app.core.principal import Principal
from app.events import store as events
from app.events.store import Wanted
from app.mail import rules, store
from app.mail.models import CODE
from app.mail.rules import EVENTS
from app.mail.store import NewMail

EVENTS_AT_ONCE = 5_000
NOBODY = UUID(int=0)
# The log is read as the regulator reads it; no client of this id exists.
READER = Principal(NOBODY, NOBODY, "regulator", None, frozenset())


async def ask_for_code(tx: Transaction, registration_id: UUID, language: str) -> None:
    """Queue a mail with a code to the address of a case's applicant, at most one an hour to an address.

    The caller is told the same whether or not a mail was queued.
    """
    address = await store.address_of(tx, registration_id)
    if address is None or not await store.may_send_code(tx, address.hash):
        return
    code = f"{secrets.randbelow(10**rules.CODE_DIGITS):0{rules.CODE_DIGITS}}"
    contact_id = await store.start_verification(tx, address, language, _hash(tx, address.applicant_id, code))
    await store.add_code(tx, contact_id, tx.keyring.seal_text(CODE, code))


async def confirm(tx: Transaction, registration_id: UUID, code: str) -> bool:
    """Verify the address of a case's applicant by its code; false for a code that is not valid, which counts.

    A right code is good for one use, also after mail was stopped.
    """
    contact = await store.lock_contact(tx, registration_id)
    if contact is None or contact.code_hash is None or contact.code_sent_at is None:
        return False
    is_late = contact.code_sent_at + rules.CODE_LIFETIME <= await tx.now()
    if is_late or contact.code_attempts >= rules.CODE_ATTEMPTS:
        return False
    if not secrets.compare_digest(_hash(tx, contact.applicant_id, code), contact.code_hash):
        contact.code_attempts += 1
        return False
    contact.verified_at, contact.stopped_at, contact.code_hash = await tx.now(), None, None
    return True


async def stop(tx: Transaction, stop_token: UUID) -> bool:
    """Stop the mail to the contact of a link; false when there is none. A second click changes nothing."""
    return await store.stop(tx, stop_token)


def _hash(tx: Transaction, applicant_id: UUID, code: str) -> str:
    return tx.keyring.keyed_hash("subject", f"mail-code:{applicant_id} {code}")


async def queue_notices(tx: Transaction) -> bool:
    """Queue mails for the next events of the log; returns whether more may follow.

    Several events of a kind become one mail to a contact, so that no firm gets a mail for each of its cases.
    """
    position = await store.lock_position(tx)
    if position is None:
        return False
    if position.after is None:  # nothing is told of what was before mail
        position.after = await events.newest_settled_id(tx, after=None)
        return False
    newest = await events.newest_settled_id(tx, after=position.after)
    if newest is None:
        return False
    wanted = Wanted(tuple(EVENTS))
    found = await events.read(tx, READER, after=position.after, limit=EVENTS_AT_ONCE, wanted=wanted)
    recent = [each for each in found if each.occurred_at > await tx.now() - rules.OLDEST_NEWS]
    contacts = await store.contacts_of(tx, [each.subject_id for each in recent]) if recent else {}
    await store.add(tx, _mails(recent, contacts))
    has_more = len(found) == EVENTS_AT_ONCE
    position.after = found[-1].id if has_more else newest
    return has_more


def _mails(found: Sequence[Any], contacts: dict[UUID, UUID]) -> list[NewMail]:
    grouped: dict[tuple[UUID, str], list[Any]] = defaultdict(list)
    for each in found:
        if contact_id := contacts.get(each.subject_id):
            grouped[contact_id, EVENTS[each.name]].append(each)
    return [
        NewMail(contact_id, group[0].id, kind, len({each.subject_id for each in group}), _first_date(group))
        for (contact_id, kind), group in grouped.items()
    ]


def _first_date(group: Sequence[Any]) -> str | None:
    dates = [date for each in group if (date := rules.date_of(each.details))]
    return min(dates).isoformat() if dates else None

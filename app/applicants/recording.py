"""Recording of items: reads the records that they concern, adds new ones and changes others, each in one statement."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from app.applicants import merging, store
from app.applicants.merging import PlannedRecords, Records
from app.applicants.rules import ApplicantKind, Particulars
from app.applicants.store import Identity
from app.core.database.transaction import Transaction
from app.core.keyring import Keyring
from app.core.principal import Principal
from app.events import store as events
from app.events.store import NewEvent

IDENTIFYING_COLUMN: dict[str, str] = {ApplicantKind.COMPANY: "ntn", ApplicantKind.INDIVIDUAL: "cnic_hash"}
SEARCHES = [(kind.value, column) for kind in ApplicantKind for column in ("ntn", "cnic_hash")]


def row_of(keyring: Keyring, details: Particulars) -> dict[str, Any]:
    """Return the columns of a record with these details."""
    return {
        **details._asdict(),
        "subject": store.blind_index(keyring, *details.identity),
        "email_hash": store.blind_index(keyring, "email", details.email),
        "cnic_hash": store.blind_index(keyring, "cnic", details.cnic) if details.cnic else None,
        "fingerprint": store.blind_index(keyring, "fingerprint", merging.joined(details)),
    }


class Recording:
    """The statements that record some items for one caller, in the order of the methods."""

    def __init__(self, tx: Transaction, principal: Principal, items: Iterable[Particulars]) -> None:
        self._tx = tx
        self._principal = principal
        self._rows = {each: row_of(tx.keyring, each) for each in dict.fromkeys(items)}
        self._subjects = {each.identity[1]: row["subject"] for each, row in self._rows.items()}
        self._ids: dict[str, UUID] = {}  # of the records that exist, by number
        self._created: set[str] = set()

    def identity(self, item: Particulars) -> Identity:
        """Return the record of an accepted item."""
        number = item.identity[1]
        return Identity(self._ids[number], item.kind, self._subjects[number])

    async def read(self, planned: PlannedRecords) -> Records:
        """Return the records that the items concern; the stored ones that may change are locked and unsealed."""
        subjects = list(self._subjects.values())
        stored = await store.lock_existing(self._tx, self._principal.partner_id, subjects)
        known: dict[str, Particulars] = {}
        differing: set[str] = set()
        for item, row in self._rows.items():
            number, found = item.identity[1], stored.get(row["subject"])
            if found:
                self._ids[number] = found.id
            if plan := planned.find(number):
                known[number] = plan
            elif found and found.fingerprint == row["fingerprint"]:
                known[number] = item
            elif found:
                differing.add(number)
        known |= {each.identity[1]: each for each in await self.lock(differing)}
        return Records(known, *await self._find_holders(known), planned)

    async def lock(self, numbers: Collection[str]) -> list[Particulars]:
        """Lock the records that these numbers identify, and return their details."""
        subjects = [self._subjects[each] for each in numbers]
        return await store.lock_for_change(self._tx, self._principal.partner_id, subjects) if subjects else []

    async def _find_holders(self, known: Mapping[str, Particulars]) -> tuple[set[str], Counter[str]]:
        """Return the numbers of items that identify records of the other kind, and the ``held`` of ``Records``.

        The other number of an item is looked for in records of its own kind only if it may be new to its record.
        """
        searched: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        for item, row in self._rows.items():
            is_same = known.get(item.identity[1]) == item
            for kind, column in SEARCHES:
                is_other = column != IDENTIFYING_COLUMN[item.kind]
                if row[column] and (kind != item.kind or (is_other and not is_same)):
                    searched[kind, column].add(row[column])
        found = await store.count_holders(self._tx, self._principal.partner_id, searched)
        cnics = {row["cnic_hash"]: item.cnic for item, row in self._rows.items() if item.cnic}
        identifying, held = set[str](), Counter[str]()
        for kind, number, records in found:
            if (number in cnics) == (kind == ApplicantKind.INDIVIDUAL):
                identifying.add(cnics.get(number) or number)
            else:
                held[cnics.get(number) or number] = records
        return identifying, held

    async def add(self, records: Records) -> set[str]:
        """Insert the records that do not exist; return the numbers of those that another transaction inserted."""
        new = {
            self._subjects[number]: {**self._row(details), "partner_id": self._principal.partner_id, "id": uuid7()}
            for number, details in records.latest()
            if number not in self._ids
        }
        # sorted by subject, so that concurrent batches cannot deadlock
        ids = await store.add(self._tx, [new[subject] for subject in sorted(new)])
        numbers = {subject: number for number, subject in self._subjects.items()}
        self._ids |= {numbers[subject]: id_ for subject, id_ in ids.items()}
        self._created = {numbers[subject] for subject, id_ in ids.items() if new[subject]["id"] == id_}
        return {numbers[subject] for subject in ids} - self._created

    async def change(self, records: Records) -> None:
        """Change the records that items changed, and record the events of this and of ``add``."""
        changed = [
            self._row(details) | {"id": self._ids[number]}
            for number, _, details in records.changed()
            if number not in self._created
        ]
        await store.change(self._tx, changed)
        named = [("applicant.created", self._ids[each]) for each in self._created]
        named += [("applicant.changed", row["id"]) for row in changed]
        partner_id = self._principal.partner_id
        await events.record(self._tx, self._principal, [NewEvent(name, id_, partner_id) for name, id_ in named])

    def _row(self, details: Particulars) -> dict[str, Any]:
        return self._rows.get(details) or row_of(self._tx.keyring, details)

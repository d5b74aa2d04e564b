"""Merging of items into the records of one partner, in the order of the items. Pure functions and state in memory."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from app.applicants.errors import ApplicantConflict
from app.applicants.rules import ApplicantKind, Particulars
from app.core.errors import FieldError, Invalid, InvalidValue

# Stands in an item of an upload for the removal of what is known.
CLEARED = "-"
CLEARABLE = frozenset({"mobile", "cnic", "pseb_number", "pasha_number"})
OTHER_NUMBER: dict[str, str] = {ApplicantKind.COMPANY: "cnic", ApplicantKind.INDIVIDUAL: "ntn"}
_SEPARATOR = "\x1f"  # no field has a control character


class Policy(StrEnum):
    """Effect of an item on a record that exists.

    ``REPLACE`` replaces all its details. With ``MERGE``, details that the item leaves out stay, ``CLEARED`` removes
    one, and another name is a conflict. ``RENAME`` is ``MERGE`` that takes the name of the item.
    """

    REPLACE = "replace"
    MERGE = "merge"
    RENAME = "rename"


class Change(NamedTuple):
    """A change of one detail of a record; None stands for an absent one. Personal data is not masked."""

    field: str
    before: str | None
    after: str | None


class Merged(NamedTuple):
    """Effect of an accepted item: it created the record, or made some changes to it, or none."""

    created: bool
    changes: tuple[Change, ...]


UNCHANGED = Merged(created=False, changes=())


def joined(particulars: Particulars) -> str:
    """Return particulars as one text."""
    return _SEPARATOR.join(each or "" for each in particulars)


def _split(text: str) -> Particulars:
    return Particulars._make(each or None for each in text.split(_SEPARATOR))


def other_number(particulars: Particulars) -> str | None:
    """Return the number that does not identify the applicant: a company's CNIC, an individual's NTN."""
    number: str | None = getattr(particulars, OTHER_NUMBER[particulars.kind])
    return None if number == CLEARED else number


class PlannedRecords:
    """Records as the chunks of a dry run would have left them, since each chunk is rolled back.

    A typical record takes 280 bytes, and 100 more with a second number.
    """

    def __init__(self) -> None:
        self._records: dict[str, bytes] = {}
        self.held: Counter[str] = Counter()  # by how much the records with this other number differ from the stored
        self._last: list[tuple[str, bytes | None, Particulars | None, Particulars]] = []

    def __contains__(self, number: str | None) -> bool:
        return number in self._records

    def find(self, number: str) -> Particulars | None:
        """Return the record that this number identifies, or None if it is as stored."""
        text = self._records.get(number)
        return None if text is None else _split(text.decode())

    def keep(self, records: "Records") -> None:
        """Keep what a chunk changed."""
        self._last = [(each[0], self._records.get(each[0]), each[1], each[2]) for each in records.changed()]
        for number, _, before, after in self._last:
            self._records[number] = joined(after).encode()
            _move(self.held, before, after)

    def forget(self) -> None:
        """Undo the last ``keep``."""
        for number, earlier, before, after in self._last:
            _move(self.held, after, before)
            if earlier is None:
                del self._records[number]
            else:
                self._records[number] = earlier
        self._last = []


def _move(held: Counter[str], before: Particulars | None, after: Particulars | None) -> None:
    """Count a record under its other number after a change."""
    for record, by in ((before, -1), (after, 1)):
        number = other_number(record) if record else None
        if number:
            held[number] += by
            if not held[number]:
                del held[number]


class Records:
    """A partner's records as far as some items concern them, each known by the number that identifies it.

    ``known`` are the records of the items. ``identifying`` are numbers that identify further records, and ``held`` has
    how many records have a number as their other one, each as stored; ``planned`` are changes not stored. An NTN and a
    CNIC never look alike, so that numbers need no names.
    """

    def __init__(
        self, known: Mapping[str, Particulars], identifying: set[str], held: Counter[str], planned: PlannedRecords
    ) -> None:
        self._before = dict(known)
        self._latest = dict(known)
        self._accepted: dict[str, Particulars] = {}  # the item of each record that was accepted last
        self._identifying = identifying
        self._held = held
        self._planned = planned

    def latest(self) -> Iterable[tuple[str, Particulars]]:
        """Return number and latest state of each record."""
        return self._latest.items()

    def changed(self) -> Iterator[tuple[str, Particulars | None, Particulars]]:
        """Yield number, earlier and latest state of each record that the items created or changed."""
        for number, latest in self._latest.items():
            before = self._before.get(number)
            if latest != before:
                yield number, before, latest

    def reload(self, stored: Particulars) -> None:
        """Replace a record, and what items did to it, by the one that another transaction stored meanwhile."""
        number = stored.identity[1]
        self._set(number, stored)
        self._before[number] = stored
        self._accepted.pop(number, None)

    def apply(self, item: Particulars, policy: Policy) -> Merged | Invalid:
        """Apply an item to its record; return its effect, or the errors of one that is refused and changes nothing."""
        number = item.identity[1]
        if self._accepted.get(number) == item:  # its numbers are still the applicant's
            return UNCHANGED
        known = self._latest.get(number)
        errors = [*self._conflicts(item)]
        if policy != Policy.REPLACE:
            errors += self._contradictions(item, known, policy)
        if errors:
            return Invalid.of(errors)
        self._accepted[number] = item
        after = item if policy == Policy.REPLACE else _merge(known, item, policy)
        if after == known:
            return UNCHANGED
        self._set(number, after)
        if known is None:
            return Merged(created=True, changes=())
        pairs = zip(Particulars._fields, known, after, strict=True)
        return Merged(created=False, changes=tuple(Change(*each) for each in pairs if each[1] != each[2]))

    def _set(self, number: str, record: Particulars) -> None:
        _move(self._held, self._latest.get(number), record)
        self._latest[number] = record

    def _is_held(self, number: str) -> bool:
        return self._held[number] + self._planned.held[number] > 0

    def _conflicts(self, item: Particulars) -> Iterator[FieldError]:
        """Yield an error for each number of an item that an applicant of the other kind has."""
        name, number = item.identity
        if self._is_held(number):
            yield ApplicantConflict.at(f"/{name}", _is_of_other_kind(item.kind, name, number))
        other = other_number(item) or ""
        if other in self._latest or other in self._identifying or other in self._planned:
            name = OTHER_NUMBER[item.kind]
            yield ApplicantConflict.at(f"/{name}", _is_of_other_kind(item.kind, name, other))

    def _contradictions(self, item: Particulars, known: Particulars | None, policy: Policy) -> Iterator[FieldError]:
        if CLEARED in item:
            yield from _removals_of_identity(item)
        if known is None:
            return
        other = other_number(item)
        if other and other != other_number(known) and self._is_held(other):
            yield ApplicantConflict.at(f"/{OTHER_NUMBER[item.kind]}", _is_of_another(item, other))
        if policy == Policy.MERGE and not same_name(known.legal_name, item.legal_name):
            yield ApplicantConflict.at("/legal_name", _differs(known.legal_name, item))


def _removals_of_identity(item: Particulars) -> Iterator[FieldError]:
    for name in {item.identity[0], "ntn"}:
        if getattr(item, name) == CLEARED:
            yield InvalidValue.at(f"/{name}", "The number that identifies an applicant cannot be removed.")


def _merge(known: Particulars | None, item: Particulars, policy: Policy) -> Particulars:
    if CLEARED not in item and (known is None or item == known):
        return item
    if known is None:
        return item._replace(**_without_cleared(item))
    kept: dict[str, Any] = {name: value for name, value in known._asdict().items() if getattr(item, name) is None}
    if policy == Policy.MERGE:
        kept["legal_name"] = known.legal_name
    return item._replace(**kept, **_without_cleared(item))


def _without_cleared(item: Particulars) -> dict[str, Any]:
    return {name: None for name in CLEARABLE if getattr(item, name) == CLEARED}


def _named(name: str, number: str) -> str:
    return f"NTN {number}" if name == "ntn" else "CNIC"


def _is_of_other_kind(kind: str, name: str, number: str) -> str:
    holder = "an individual" if kind == ApplicantKind.COMPANY else "a company"
    return (
        f"The {_named(name, number)} belongs to {holder} in your records or in an earlier row: correct the number or "
        "the kind, or leave the number out if it does not identify this applicant."
    )


def _is_of_another(item: Particulars, other: str) -> str:
    name, number = item.identity
    return (
        f"The {_named(name, number)} and the {_named(OTHER_NUMBER[item.kind], other)} belong to two applicants in your "
        "records or in earlier rows: correct one of the numbers."
    )


def _differs(known: str, item: Particulars) -> str:
    is_typing_error = one_typing_difference(known, item.legal_name)
    reason = "; they differ by one character: probably a typing error in one of them" if is_typing_error else ""
    return (
        f"The {_named(*item.identity)} has the name {known!r} in your records or in an earlier row, and "
        f"{item.legal_name!r} here{reason}. Correct the number or the name; if the applicant has a new name, send the "
        "file with ?rename=true."
    )


def same_name(one: str, other: str) -> bool:
    """True for names that are equal but for case, blanks and Unicode compatibility (UAX 15, NFKC)."""
    return one == other or _folded(one) == _folded(other)


def _folded(name: str) -> str:
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return "".join(folded.split())


def one_typing_difference(one: str, other: str) -> bool:
    """True when one character is inserted, deleted, replaced or swapped with the next; case and blanks do not count."""
    left, right = _folded(one), _folded(other)
    while left and right and left[0] == right[0]:
        left, right = left[1:], right[1:]
    while left and right and left[-1] == right[-1]:
        left, right = left[:-1], right[:-1]
    return max(len(left), len(right)) == 1 or (len(left) == 2 and left == right[::-1])

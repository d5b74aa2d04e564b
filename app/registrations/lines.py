"""Lines: cases that replace one another, as a registration is renewed, moved or transferred. Pure functions of values.

A case ``replaces`` another for good. That one is ``replaced_by`` it from its submission on, unless it is withdrawn or
rejected; on approval the other becomes ``superseded``.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from app.core.errors import DomainError, FieldError, InvalidValue, NotFound
from app.registrations.errors import IllegalTransition, SuccessorExists
from app.registrations.rules import ENDED, NEVER_GRANTED, Status, Transition, next_status, wrong_status

REPLACEABLE = frozenset((Status.APPROVED, Status.LAPSED, Status.SUSPENDED, Status.EXPIRED))
# Hours for which networks that the successor does not ask for stay on the list.
DEFAULT_HANDOVER_HOURS = 24
MAX_HANDOVER_HOURS = 168
# Errors of one field that are told by their own status.
_TOLD_ALONE: tuple[type[DomainError], ...] = (NotFound, SuccessorExists, IllegalTransition)


class ReplacedCase(NamedTuple):
    """A case that another may replace; ``code_hash`` is that of the transfer code that allows it, if one does.

    ``is_listed`` is true for a surrendered case whose networks are still on the list, as when their removal is held.
    """

    id: UUID
    partner_id: UUID
    status: str
    subject: str
    replaced_by: UUID | None
    code_hash: str | None
    is_listed: bool = False


class NamedCase(NamedTuple):
    """A case of a partner, as far as its reference depends on it."""

    id: UUID
    reference: str
    status: str
    replaces: UUID | None
    replaced_by: UUID | None

    @property
    def names_its_line(self) -> bool:
        """True for the only case that may have its reference at its partner."""
        return self.replaced_by is None and self.status not in ENDED

    @property
    def is_failed_successor(self) -> bool:
        """True for a case that was to replace another and was withdrawn or rejected."""
        return self.replaces is not None and self.status in NEVER_GRANTED


def find_named(cases: Sequence[NamedCase], replaces: UUID | None) -> NamedCase | None:
    """Return the case that a submission with the reference of all ``cases`` is about; None for a new case.

    Without ``replaces`` it is the newest of the line. With it, it is the case that replaces the same one already, or
    one that keeps the reference from being used because it is of another line.
    """
    if replaces is None:
        return max(cases, key=_precedence, default=None)
    same = [each for each in cases if each.replaces == replaces and each.status != Status.WITHDRAWN]
    if same:
        return max(same, key=lambda each: each.id)
    others = (each for each in cases if each.id != replaces and each.status != Status.SUPERSEDED)
    return next((each for each in others if not each.is_failed_successor), None)


def _precedence(case: NamedCase) -> tuple[bool, bool, bool, UUID]:
    is_last = case.status != Status.SUPERSEDED
    return case.names_its_line, not case.is_failed_successor, is_last, case.id


def replacement_errors(
    replaced: ReplacedCase | None, subject: str | None, own_partner: UUID, pointer: str, successor: UUID | None = None
) -> Iterator[FieldError]:
    """Yield why a case may not be replaced by one of ``own_partner``: a new one, or the existing ``successor``.

    ``subject`` is None for an unknown applicant, which is told elsewhere.

    A case that is unknown, of another partner or without a valid code gets the same error, and so does the case of
    another partner that has another subject.
    """
    if replaced is None or (replaced.partner_id != own_partner and replaced.subject != subject):
        yield NotFound.at(pointer, "There is no such registration to replace.")
    elif subject is not None and replaced.subject != subject:
        yield InvalidValue.at(pointer, "The registration to replace is of another applicant.")
    elif replaced.status not in REPLACEABLE and not replaced.is_listed:
        yield IllegalTransition.at(pointer, wrong_status(replaced.status, REPLACEABLE, "replaced").detail)
    elif replaced.replaced_by not in (None, successor):
        yield SuccessorExists.at(pointer)


def refusal_of(errors: Sequence[FieldError]) -> DomainError | None:
    """Return the error of a single field with its own kind; None when the fields are to be told together."""
    kind = next((each for each in _TOLD_ALONE if len(errors) == 1 and each.code == errors[0].code), None)
    return kind(errors[0].detail, errors) if kind else None


def hand_over_without_replaced(given: Mapping[str, Any]) -> Iterator[FieldError]:
    """Yield an error for hours of a hand-over in a body that replaces nothing."""
    if "handover_hours" in given and not ("replaces" in given or "transfer_code" in given):
        yield InvalidValue.at("/handover_hours", "handover_hours goes with replaces or transfer_code.")


def succession_refusal(replaced: ReplacedCase | None, successor: UUID) -> DomainError | None:
    """Return why a successor may not be approved now; None if it may, so that the other is superseded."""
    if replaced is None or replaced.replaced_by != successor:
        return SuccessorExists("Another registration is to replace the one that this one replaces.")
    if replaced.status == Status.SUSPENDED:
        return IllegalTransition("The registration that it replaces is suspended. Reinstate that one first.")
    if next_status(replaced.status, Transition.SUPERSEDE) is None and not replaced.is_listed:
        return IllegalTransition(f"The registration that it replaces is {replaced.status}, and is not renewed.")
    return None

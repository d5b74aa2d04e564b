"""Malformed submissions: the register is asked of what is valid in them, so that a caller learns all errors at once."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any
from uuid import UUID

from app.core.database.transaction import Transaction
from app.core.errors import FieldError, Invalid
from app.core.principal import Principal
from app.core.validation import networks
from app.registrations.intake.conflicts import ExistingCase, find_conflicts
from app.registrations.intake.eligibility import find_errors
from app.registrations.intake.service import prepare
from app.registrations.rules import MAX_NETWORKS, RegistrationRequest

NO_APPLICANT = UUID(int=0)


async def find_all_errors(
    tx: Transaction,
    principal: Principal,
    given: Mapping[str, Any],
    malformed: Sequence[FieldError],
    corrected: UUID | None = None,
) -> list[FieldError]:
    """Return the ``malformed`` fields of a body, and the errors that the register tells of its other fields.

    ``corrected`` is the id of the case that the body corrects. A known reference is no error: the body may be the same
    as before once it is well formed.
    """
    request, positions = _valid_part(given)
    batch = await prepare(tx, principal, [request])
    existing = ExistingCase(corrected, "", request) if corrected else None
    conflicts = await find_conflicts(tx, principal.partner_id, batch.items, existing)
    errors = {each.pointer: each for each in malformed}
    for each in find_errors(batch, 0, conflicts, existing):
        _, field, *index = each.pointer.split("/")
        pointer = f"/{field}/{positions[int(index[0])]}" if index else each.pointer
        if f"/{field}" not in errors:
            errors.setdefault(pointer, replace(each, pointer=pointer))
    return list(errors.values())


def _valid_part(given: Mapping[str, Any]) -> tuple[RegistrationRequest, list[int]]:
    """Return what the register can be asked of a body, and the positions of its valid networks.

    Fields that are not valid are empty.
    """
    applicant_id, replaces = (_uuid(given.get(name)) for name in ("applicant_id", "replaces"))
    track, operator = (
        each.strip() if isinstance(each := given.get(name), str) else "" for name in ("track", "operator")
    )
    listed = given.get("networks")
    valid: dict[int, str] = {}
    for position, text in enumerate(listed[:MAX_NETWORKS] if isinstance(listed, list) else ()):
        with suppress(Invalid):
            valid |= {position: networks.parse(text.strip()).text} if isinstance(text, str) else {}
    code = given.get("transfer_code")
    request = RegistrationRequest(
        applicant_id or NO_APPLICANT,
        *(track, "", None, operator, None, [*valid.values()], None, None),
        replaces=replaces,
        transfer_code=code if isinstance(code, str) else None,
    )
    return request, [*valid]


def _uuid(value: Any) -> UUID | None:
    with suppress(ValueError):
        return UUID(str(value))
    return None

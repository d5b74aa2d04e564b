"""Fields of a case that are computed when it is read."""

from typing import Any

from sqlalchemy import ColumnElement, Text, and_, case, false, func, type_coerce
from sqlalchemy.dialects.postgresql import ARRAY, JSON

from app.core.database.base import INSTANT
from app.core.database.batches import any_of
from app.core.principal import PartnerKind
from app.registrations.json_documents import rfc_3339
from app.registrations.models import Registration
from app.registrations.overlaps import IS_CONTESTED
from app.registrations.rules import GRANTED, RENEWABLE, RENEWAL_WINDOW, Flag

# Details of the events that change or tell how long a case is valid.
VALIDITY = {"expires_at": Registration.expires_at, "ends_at": Registration.ends_at}
RENEWABLE_FROM: ColumnElement[Any] = case(
    (any_of(Registration.status, sorted(RENEWABLE)), type_coerce(Registration.expires_at - RENEWAL_WINDOW, INSTANT))
)
NOTICE: ColumnElement[Any] = case(
    (
        and_(Registration.notice_decision_id.is_not(None), any_of(Registration.status, sorted(GRANTED))),
        func.json_build_object(
            "decision_id",
            Registration.notice_decision_id,
            "action",
            Registration.notice_action,
            "effective_at",
            rfc_3339(Registration.notice_effective_at),
            type_=JSON,
        ),
    )
)


def flags_for(kind: PartnerKind) -> ColumnElement[Any]:
    """The stored flags, and for officers those that depend on others' cases.

    Earlier versions stored ``contested`` too, which is ignored.
    """
    stored = func.array_remove(Registration.flags, Flag.CONTESTED.value, type_=ARRAY(Text))
    if kind != "regulator":
        return stored
    return case((IS_CONTESTED, func.array_append(stored, Flag.CONTESTED.value, type_=ARRAY(Text))), else_=stored)


def awaits_successor() -> ColumnElement[bool]:
    """Return the condition of having a successor that was submitted before ``ends_at`` and is not decided.

    Nothing records successors yet.
    """
    return false()

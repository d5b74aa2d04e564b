"""Whose rows a transaction meets, said by its statements themselves: it saves the round trips of saying it between."""

from sqlalchemy import (
    CompoundSelect,
    Label,
    Select,
    Text,
    bindparam,
    cast,
    func,
    literal,
    null,
    select,
    true,
    union_all,
)

from app.core.orm import Rows, looked_up
from app.core.principal import Principal

# Row-level security goes by these roles (migrations/policies.py): every partner's rows, or one partner's alone.
SERVICE, TENANT = "register_service", "register_tenant"
Query = Select[*tuple[object, ...]] | CompoundSelect[*tuple[object, ...]]


def _set(name: str) -> Label[str]:
    return func.set_config(f"register.{name}", bindparam(f"tenant_{name}", type_=Text), literal(True)).label(name)


# What the policies of row-level security go by, until the transaction ends.
ACTING = select(_set("partner"), _set("operator"))


def tenant(principal: Principal) -> dict[str, str]:
    """The parameters of ``ACTING`` and ``acting`` for a partner."""
    return {"tenant_partner": str(principal.partner_id), "tenant_operator": principal.operator or ""}


def acting(query: Query) -> Rows:
    """A query of a connection that has the tenant's role, and the first of its transaction: it acts for a partner.

    Its rows are looked up for each row of the settings, which is one: none can be met before.
    """
    settings, whole = ACTING.subquery("tenant"), query.subquery("whole")
    rows = select(*whole.c).where(settings.c.partner.is_not(None), settings.c.operator.is_not(None))
    found = looked_up(rows, "rows")
    return select(*found.c).select_from(settings).join(found, true())


def turning(query: Query) -> Query:
    """A query at whose end the transaction takes the role of the parameter ``turning_to``.

    Whose rows it meets itself is settled before it begins.
    """
    turned = func.set_config("role", bindparam("turning_to", type_=Text), literal(True))
    nothing = (cast(null(), each.type) for each in query.selected_columns)
    return union_all(query, select(*nothing).where(turned.is_(None)))

"""Whose rows a transaction may see and write: the database's roles, and the settings that their policies go by."""

from sqlalchemy import CompoundSelect, Label, Select, Text, bindparam, func, literal, select, true

from app.core.orm import Rows, looked_up
from app.core.principal import Principal

# Row-level security goes by these roles (migrations/policies.py). Each is fixed at the beginning of a transaction:
# every partner's rows; one partner's; one partner's, written beside networks and grants of all, by their addresses.
SERVICE, TENANT, INTAKE = "register_service", "register_tenant", "register_intake"
Query = Select[*tuple[object, ...]] | CompoundSelect[*tuple[object, ...]]


def _set(name: str) -> Label[str]:
    return func.set_config(f"register.{name}", bindparam(f"tenant_{name}", type_=Text), literal(True)).label(name)


# What the policies of row-level security go by, until the transaction ends.
ACTING = select(_set("partner"), _set("operator"))


def tenant(principal: Principal) -> dict[str, str]:
    """The parameters of ``ACTING`` and ``acting`` for a partner."""
    return {"tenant_partner": str(principal.partner_id), "tenant_operator": principal.operator or ""}


def acting(query: Query) -> Rows:
    """A query of a connection that has a partner's role, and the first of its transaction: it acts for that partner.

    Its rows are looked up for each row of the settings, which is one: none can be met before.
    """
    settings, whole = ACTING.subquery("tenant"), query.subquery("whole")
    rows = select(*whole.c).where(settings.c.partner.is_not(None), settings.c.operator.is_not(None))
    found = looked_up(rows, "rows")
    return select(*found.c).select_from(settings).join(found, true())

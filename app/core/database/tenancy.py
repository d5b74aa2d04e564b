"""Whose rows a transaction sees and writes: the database's roles, and the settings that their policies go by."""

import re
from typing import Literal

from app.core.principal import Principal

# Row-level security goes by these roles (migrations/policies.py). Each is fixed at the beginning of a transaction:
# every partner's rows; one partner's; one partner's, written beside networks and grants of all, by their addresses.
Role = Literal["register_service", "register_tenant", "register_intake"]
SERVICE: Role = "register_service"
TENANT: Role = "register_tenant"
INTAKE: Role = "register_intake"

# An operator's code as the reference data and the tables have it.
_CODE = re.compile(r"[a-z0-9_-]{0,100}")


def role_of(principal: Principal | None, role: Role | None = None) -> Role:
    """The role of a transaction that acts for a principal; ``role`` is a partner's in place of ``TENANT``."""
    if principal is None or principal.sees_all:
        return SERVICE
    return role or TENANT


def beginning(principal: Principal | None, role: Role, *, read_only: bool) -> str:
    """The statements that begin a transaction: one round trip, and nothing of them is left when it ends.

    The tenant is a UUID from the token, written as one, and the code of an operator; neither is a caller's text.
    """
    begin = f"BEGIN{' READ ONLY' if read_only else ''}; SET LOCAL ROLE {role}"
    if role == SERVICE or principal is None:
        return begin
    code = principal.operator or ""
    if not _CODE.fullmatch(code):
        raise ValueError(f"{code!r} is not the code of an operator")
    return f"{begin}; SET LOCAL register.partner = '{principal.partner_id!s}'; SET LOCAL register.operator = '{code}'"

"""Tenancy: the role and tenant of a transaction, which row-level security goes by (migrations/policies.py)."""

import re

from app.core.database.roles import SERVICE, TENANT, Role
from app.core.principal import Principal

_OPERATOR_CODE = re.compile(r"[a-z0-9_-]{0,100}")  # as reference data and tables have it


def role_of(principal: Principal | None, role: Role | None = None) -> Role:
    """Return the role of a transaction of ``principal``; ``role`` is a partner's in place of ``TENANT``."""
    if principal is None or principal.sees_all:
        return SERVICE
    return role or TENANT


def begin_sql(principal: Principal | None, role: Role, *, read_only: bool) -> str:
    """Return the SQL that begins a transaction with its role and tenant; ``SET LOCAL`` ends with the transaction.

    The values are a UUID and an operator's code, both from the token. Raises ``ValueError`` for a malformed code.
    """
    begin = f"BEGIN{' READ ONLY' if read_only else ''}; SET LOCAL ROLE {role}"
    if role == SERVICE or principal is None:
        return begin
    code = principal.operator or ""
    if not _OPERATOR_CODE.fullmatch(code):
        raise ValueError(f"{code!r} is not an operator's code")
    return f"{begin}; SET LOCAL register.partner = '{principal.partner_id!s}'; SET LOCAL register.operator = '{code}'"

"""Row-level security, as every migration puts it on its tables. What stands here is never changed, only added to."""

from alembic import op

SERVICE, TENANT, INTAKE = "register_service", "register_tenant", "register_intake"
EVERYTHING = "SELECT, INSERT, UPDATE, DELETE"


def protect(
    table: str,
    *,
    tenant: str | None,
    tenant_writes: str | None = None,
    tenant_may: str = EVERYTHING,
    service_may: str = EVERYTHING,
) -> None:
    """Let a table's rows be met by two roles only, whoever owns it.

    ``register_service`` meets every row and may do ``service_may``. ``register_tenant`` meets the rows that ``tenant``,
    a condition, holds for, and may do ``tenant_may``; None: it has no access at all. What it writes must meet
    ``tenant_writes``, where that is narrower.
    """
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY {table}_service ON {table} TO {SERVICE} USING (true) WITH CHECK (true)")
    op.execute(f"GRANT {service_may} ON {table} TO {SERVICE}")
    if tenant is not None:
        check = tenant_writes or tenant
        op.execute(f"CREATE POLICY {table}_tenant ON {table} TO {TENANT} USING ({tenant}) WITH CHECK ({check})")
        op.execute(f"GRANT {tenant_may} ON {table} TO {TENANT}")


def unprotect(table: str) -> None:
    """The way back from ``protect``."""
    for role in (SERVICE, TENANT):
        op.execute(f"REVOKE ALL ON {table} FROM {role}")
        op.execute(f"DROP POLICY IF EXISTS {table}_{role.removeprefix('register_')} ON {table}")
    op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")


def open_to_intake(table: str, may: str, *, own: str | None = None, everybodys: bool = False) -> None:
    """Let ``register_intake``, which takes a partner's registrations in, do ``may`` with rows of a table.

    ``own`` is the condition of the rows that it may see and write. Of a table that is ``everybodys`` it may read every
    row, as far as ``may`` names columns.
    """
    if own is not None:
        op.execute(f"CREATE POLICY {table}_intake ON {table} TO {INTAKE} USING ({own}) WITH CHECK ({own})")
    if everybodys:
        op.execute(f"CREATE POLICY {table}_intake_reads ON {table} FOR SELECT TO {INTAKE} USING (true)")
    op.execute(f"GRANT {may} ON {table} TO {INTAKE}")


def close_to_intake(table: str) -> None:
    """The way back from ``open_to_intake``."""
    op.execute(f"REVOKE ALL ON {table} FROM {INTAKE}")
    for policy in ("intake", "intake_reads"):
        op.execute(f"DROP POLICY IF EXISTS {table}_{policy} ON {table}")

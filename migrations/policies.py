"""Row-level security policies for migrations. Existing functions are never changed, since old migrations use them."""

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
    """Enable and force row-level security on a table, with policies for two roles.

    ``register_service`` sees every row and is granted ``service_may``. ``register_tenant`` sees the rows for which the
    condition ``tenant`` is true and is granted ``tenant_may``; without ``tenant`` it has no access. The rows it writes
    must meet ``tenant_writes``, by default ``tenant``.
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
    """Revert ``protect``."""
    for role in (SERVICE, TENANT):
        op.execute(f"REVOKE ALL ON {table} FROM {role}")
        op.execute(f"DROP POLICY IF EXISTS {table}_{role.removeprefix('register_')} ON {table}")
    op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")


def open_to_intake(table: str, may: str, *, own: str | None = None, everybodys: bool = False) -> None:
    """Grant ``may`` on a table to ``register_intake``, the role that inserts a partner's registrations.

    ``own`` is the condition of the rows that it may see and write. With ``everybodys`` it may read all rows, in the
    columns that ``may`` names.
    """
    if own is not None:
        op.execute(f"CREATE POLICY {table}_intake ON {table} TO {INTAKE} USING ({own}) WITH CHECK ({own})")
    if everybodys:
        op.execute(f"CREATE POLICY {table}_intake_reads ON {table} FOR SELECT TO {INTAKE} USING (true)")
    op.execute(f"GRANT {may} ON {table} TO {INTAKE}")


def close_to_intake(table: str) -> None:
    """Revert ``open_to_intake``."""
    op.execute(f"REVOKE ALL ON {table} FROM {INTAKE}")
    for policy in ("intake", "intake_reads"):
        op.execute(f"DROP POLICY IF EXISTS {table}_{policy} ON {table}")

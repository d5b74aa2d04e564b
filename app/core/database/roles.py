"""The database roles that transactions act in, and the login that may take them."""

from typing import Literal, get_args

from app.core.database.connecting import Connector
from app.core.database_url import parse

# Roles of row-level security: rows of all partners; rows of one partner; rows of one partner, written with access to
# the networks and grants of all by their addresses.
Role = Literal["register_service", "register_tenant", "register_intake"]
SERVICE: Role = "register_service"
TENANT: Role = "register_tenant"
INTAKE: Role = "register_intake"
CALL_SECONDS = 30.0


async def ensure_login(owner_url: str, database_url: str) -> None:
    """Create the login of ``database_url`` unless it exists, and grant it the roles.

    It owns nothing and bypasses no policy. ``owner_url`` is of a role that may create roles. An existing login keeps
    its password.
    """
    login = parse(database_url)
    connection = await Connector(owner_url, seconds=CALL_SECONDS).connect()
    try:
        if await connection.fetchval("SELECT to_regrole($1)", f'"{login.username}"') is None:
            create = "SELECT format('CREATE ROLE %I LOGIN NOINHERIT PASSWORD %L', $1::text, $2::text)"
            await connection.execute(await connection.fetchval(create, login.username, login.password))
        grant = f"SELECT format('GRANT {', '.join(get_args(Role))} TO %I', $1::text)"
        await connection.execute(await connection.fetchval(grant, login.username))
    finally:
        await connection.close()

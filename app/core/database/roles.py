"""The application's own login: neither owner of anything nor above any policy."""

import asyncpg
from sqlalchemy import make_url

ROLES = "register_service, register_tenant, register_intake"


async def ensure_login(owner_url: str, database_url: str) -> None:
    """Make the login that ``database_url`` names, unless it is there, and let it act in each role of the service's.

    ``owner_url`` is of a role that may create roles. A login that is there keeps its password.
    """
    login = make_url(database_url)
    connection = await asyncpg.connect(owner_url)
    try:
        if await connection.fetchval("SELECT to_regrole($1)", f'"{login.username}"') is None:
            made = "SELECT format('CREATE ROLE %I LOGIN NOINHERIT PASSWORD %L', $1::text, $2::text)"
            await connection.execute(await connection.fetchval(made, login.username, login.password))
        granted = f"SELECT format('GRANT {ROLES} TO %I', $1::text)"
        await connection.execute(await connection.fetchval(granted, login.username))
    finally:
        await connection.close()

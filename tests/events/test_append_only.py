"""What is in the log stays as it is: the roles that the service acts as may add to it and change nothing."""

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from tests.support.service import Service
from tests.support.trees import recorded, sequenced

ROLES = ("register_service", "register_tenant", "register_intake")
KEPT = ("events", "audit_leaves", "audit_nodes")


@pytest.mark.parametrize("table", KEPT)
@pytest.mark.parametrize("change", ["UPDATE {} SET {}", "DELETE FROM {}", "TRUNCATE {}"])
async def test_the_service_itself_is_refused_to_change_or_take_away(service: Service, table: str, change: str) -> None:
    await recorded(service, "test.kept")
    await sequenced(service)
    to_itself = {"events": "name = name", "audit_leaves": "salt = salt", "audit_nodes": "hash = hash"}[table]
    with pytest.raises(ProgrammingError, match="permission denied"):
        async with service.database.write() as session:
            await session.execute(text(change.format(table, to_itself)))


async def test_no_role_holds_more_than_reading_and_adding(service: Service) -> None:
    asked = """SELECT r, t, p FROM unnest($1::text[]) r, unnest($2::text[]) t, unnest($3::text[]) p
               WHERE has_table_privilege(r, t, p)"""
    connection = await asyncpg.connect(service.settings.database_url)
    try:
        changing = ["UPDATE", "DELETE", "TRUNCATE", "TRIGGER", "REFERENCES"]
        assert await connection.fetch(asked, list(ROLES), list(KEPT), changing) == []
        assert await connection.fetch(asked, ["register_service"], list(KEPT), ["INSERT"])
    finally:
        await connection.close()

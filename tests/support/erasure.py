"""Erasure of personal data: records made older, the worker's sweep, and a search of the whole database."""

from datetime import timedelta
from typing import Any

from sqlalchemy import text

from app.bulk_uploads.erasure import erase_old
from app.erasure.service import erase_due
from app.registrations.erasure import RetentionPeriods
from tests.support import cases, postgres
from tests.support.service import Caller, Service

NOTHING_DAYS, GRANT_DAYS, UNUSED_DAYS = 180, 365, 90
CLOCKS = RetentionPeriods(timedelta(days=NOTHING_DAYS), timedelta(days=GRANT_DAYS), timedelta(days=UNUSED_DAYS))
COLUMNS = """
SELECT table_name, column_name FROM information_schema.columns
WHERE table_schema = 'public' AND table_name <> 'alembic_version' ORDER BY 1, 2
"""


async def age_by_days(service: Service, days: float) -> None:
    """Make every record older by so many days."""
    past = f"interval '{days} days'"
    await postgres.execute(
        service.settings.database_url,
        f"UPDATE registrations SET updated_at = updated_at - {past}",
        f"UPDATE applicants SET updated_at = updated_at - {past}, retention_check_at = retention_check_at - {past}",
        f"UPDATE bulk_uploads SET completed_at = completed_at - {past}",
    )


async def sweep(service: Service) -> None:
    """Erase what is due, as the worker does at intervals."""
    await erase_due(service.database, CLOCKS)
    await erase_old(service.database, timedelta(days=NOTHING_DAYS), timedelta(hours=24))


async def submit_case(caller: Caller, **changes: Any) -> dict[str, Any]:
    """Submit a freelancer's case with every optional text, and return it."""
    return await cases.submitted(
        caller, cases.individual(mobile="+923001234567", **changes), track="vpn_freelancer", purpose="freelancing",
        subscriber_id="SUB-1", description="Works from home",
    )  # fmt: skip


async def withdraw(caller: Caller, case: dict[str, Any]) -> None:
    """Withdraw a case."""
    answer = await caller.post(f"/v1/registrations/{case['id']}/withdraw", headers={"If-Match": "*"})
    assert answer.status_code == 200, answer.text


async def revoke(officer: Caller, case: dict[str, Any]) -> None:
    """Revoke a grant and publish the list without its networks; the list must have others."""
    why = {"reason_codes": ["misuse"], "legal_basis": "PECA"}
    current = (await officer.get(f"/v1/registrations/{case['id']}")).json()
    answer = await cases.decide(officer, current, "revoke", **why)
    assert answer.status_code == 201, answer.text
    await officer.service.publish()


async def erase(caller: Caller, applicant_id: str) -> dict[str, Any]:
    """Erase an applicant on request, and return it."""
    answer = await caller.post(f"/v1/applicants/{applicant_id}/erasure", headers={"If-Match": "*"})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def dump_columns(service: Service) -> dict[str, str]:
    """Return the content of the database as text, by table and column."""
    async with service.database.transaction() as tx:
        await tx.execute(text("SET LOCAL ROLE NONE"))
        columns = (await tx.execute(text(COLUMNS))).all()
        return {
            f"{table}.{column}": "\n".join(
                await tx.scalars(text(f'SELECT "{column}"::text FROM "{table}" WHERE "{column}" IS NOT NULL'))
            )
            for table, column in columns
        }


async def columns_with(service: Service, *words: str) -> list[str]:
    """Return the columns that contain one of these words."""
    found = await dump_columns(service)
    return sorted(place for place, held in found.items() if any(word in held for word in words))

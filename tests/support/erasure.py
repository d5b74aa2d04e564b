"""Time that passes for personal data, the worker's sweep of it, and a look through all that the database holds."""

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


async def let_days_pass(service: Service, days: float) -> None:
    """Everything becomes older."""
    past = f"interval '{days} days'"
    await postgres.execute(
        service.settings.database_url,
        f"UPDATE registrations SET updated_at = updated_at - {past}",
        f"UPDATE applicants SET updated_at = updated_at - {past}, retention_check_at = retention_check_at - {past}",
        f"UPDATE bulk_uploads SET completed_at = completed_at - {past}",
    )


async def sweep(service: Service) -> None:
    """What the worker does now and then."""
    await erase_due(service.database, CLOCKS)
    await erase_old(service.database, timedelta(days=NOTHING_DAYS), timedelta(hours=24))


async def an_application(caller: Caller, **changes: Any) -> dict[str, Any]:
    """A freelancer's case with all the texts that one may have."""
    return await cases.submitted(
        caller, cases.individual(mobile="+923001234567", **changes), track="vpn_freelancer", purpose="freelancing",
        subscriber_id="SUB-1", description="Works from home",
    )  # fmt: skip


async def withdrawn(caller: Caller, case: dict[str, Any]) -> None:
    """A case is withdrawn."""
    answer = await caller.post(f"/v1/registrations/{case['id']}/withdraw", headers={"If-Match": "*"})
    assert answer.status_code == 200, answer.text


async def ended(officer: Caller, case: dict[str, Any]) -> None:
    """A grant is revoked, and its networks leave the list, on which there must be others."""
    why = {"reason_codes": ["misuse"], "legal_basis": "PECA"}
    current = (await officer.get(f"/v1/registrations/{case['id']}")).json()
    answer = await cases.decide(officer, current, "revoke", **why)
    assert answer.status_code == 201, answer.text
    await officer.service.publish()


async def erased(caller: Caller, applicant_id: str) -> dict[str, Any]:
    """An applicant that was erased on request."""
    answer = await caller.post(f"/v1/applicants/{applicant_id}/erasure", headers={"If-Match": "*"})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def everything(service: Service) -> dict[str, str]:
    """All that the database holds, as text, by table and column."""
    async with service.database.transaction() as tx:
        await tx.execute(text("SET LOCAL ROLE NONE"))
        columns = (await tx.execute(text(COLUMNS))).all()
        return {
            f"{table}.{column}": "\n".join(
                await tx.scalars(text(f'SELECT "{column}"::text FROM "{table}" WHERE "{column}" IS NOT NULL'))
            )
            for table, column in columns
        }


async def places_of(service: Service, *words: str) -> list[str]:
    """The columns in which one of these words stands."""
    found = await everything(service)
    return sorted(place for place, held in found.items() if any(word in held for word in words))

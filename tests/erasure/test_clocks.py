"""Personal data is erased after its retention period; decisions stay."""

import asyncio
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from app.bulk_uploads.erasure import erase_old
from app.core.database.engine import Database
from app.erasure.service import erase_due
from app.registrations import expiry
from tests.support import cases, postgres, uploads
from tests.support.audit_trees import sequence_events
from tests.support.erasure import (
    CLOCKS,
    GRANT_DAYS,
    NOTHING_DAYS,
    UNUSED_DAYS,
    age_by_days,
    columns_with,
    revoke,
    submit_case,
    sweep,
    withdraw,
)  # fmt: skip
from tests.support.events import wait_for_event
from tests.support.service import Caller, Service


async def erased_at(caller: Caller, applicant_id: str) -> str | None:
    """Return the time at which an applicant was erased."""
    found: str | None = (await caller.get(f"/v1/applicants/{applicant_id}")).json()["erased_at"]
    return found


async def expired(service: Service, but: dict[str, Any]) -> None:
    """Expire all approvals but one, so that the allowlist is not empty, and publish."""
    passes = f"UPDATE registrations SET expires_at = now(), ends_at = now() WHERE id <> '{but['id']}'"
    await postgres.execute(service.settings.database_url, passes)
    async with service.database.transaction() as tx:
        await expiry.move_due(tx)
    await service.publish()


async def test_nothing_is_erased_before_its_time_or_while_a_case_is_open_or_in_force(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    young, open_, granted, suspended = [await submit_case(pseb) for _ in range(4)]
    await cases.decide(officer, granted, "approve")
    await cases.decide(officer, suspended, "approve")
    current = (await officer.get(f"/v1/registrations/{suspended['id']}")).json()
    why = {"reason_codes": ["misuse"], "legal_basis": "PECA"}
    assert (await cases.decide(officer, current, "suspend", **why)).status_code == 201
    await service.publish()
    for days in (GRANT_DAYS, GRANT_DAYS):
        await age_by_days(service, days + 1)
        await sweep(service)
    await withdraw(pseb, young)
    await age_by_days(service, NOTHING_DAYS - 1)
    await sweep(service)
    for case in (young, open_, granted, suspended):
        applicant = (await pseb.get(f"/v1/applicants/{case['applicant_id']}")).json()
        assert (applicant["erased_at"], applicant["mobile"]) == (None, "+923001234567")
        assert (await pseb.get(f"/v1/registrations/{case['id']}")).json()["description"] == "Works from home"


async def test_a_case_in_force_keeps_its_applicant_and_all_its_cases(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    person = cases.individual()
    asked = {"track": "vpn_freelancer", "purpose": "freelancing"}
    nothing = await cases.submitted(pseb, person, **asked, reference="OLD-1")
    await cases.approved(pseb, officer, person, **asked)
    await withdraw(pseb, nothing)
    await age_by_days(service, NOTHING_DAYS + 1)
    await sweep(service)
    assert await erased_at(pseb, nothing["applicant_id"]) is None
    assert (await pseb.get(f"/v1/registrations/{nothing['id']}")).json()["reference"] == "OLD-1"


async def test_who_applied_is_erased_and_the_history_of_the_decision_stays(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    case = await submit_case(pseb, email="ayesha@example.com", legal_name="Ayesha Khan")
    await cases.decide(officer, case, "reject", reason_codes=["document_missing"])
    await age_by_days(service, NOTHING_DAYS + 1)
    await sweep(service)
    applicant = (await pseb.get(f"/v1/applicants/{case['applicant_id']}")).json()
    assert applicant["erased_at"] is not None
    assert {applicant[name] for name in ("cnic", "email", "mobile", "ntn", "pseb_number")} == {None}
    assert applicant["legal_name"] == "(erased)"
    kept = (await pseb.get(f"/v1/registrations/{case['id']}")).json()
    assert (kept["status"], kept["reason_codes"], kept["networks"]) == (
        "rejected",
        ["document_missing"],
        case["networks"],
    )
    assert (kept["subscriber_id"], kept["description"], kept["reference"]) == (None, None, None)
    history = (await pseb.get(f"/v1/registrations/{case['id']}/history")).json()["items"]
    names = [each["name"] for each in history]
    assert names == ["registration.submitted", "registration.rejected", "registration.erased"]
    assert applicant["id"] in [each["subject_id"] for each in await wait_for_event(pseb, "applicant.erased")]


@pytest.mark.parametrize("end", ["revoked", "expired"])
async def test_a_grant_that_ended_has_a_longer_clock_of_its_own(
    service: Service, pseb: Caller, officer: Caller, end: str
) -> None:
    case = await submit_case(pseb)
    await cases.decide(officer, case, "approve")
    other = await cases.approved(pseb, officer)
    await service.publish()
    if end == "revoked":
        await revoke(officer, case)
    else:
        await expired(service, other)
    assert (await pseb.get(f"/v1/registrations/{case['id']}")).json()["status"] == end
    await age_by_days(service, GRANT_DAYS - 1)
    await sweep(service)
    assert await erased_at(pseb, case["applicant_id"]) is None
    await age_by_days(service, 2)
    await sweep(service)
    assert await erased_at(pseb, case["applicant_id"]) is not None


async def test_an_applicant_without_a_case_is_erased_some_time_after_its_last_change(
    service: Service, pseb: Caller
) -> None:
    made = (await pseb.post("/v1/applicants", json=cases.individual())).json()
    await age_by_days(service, UNUSED_DAYS - 1)
    change = {"email": "later@example.com"}
    assert (await pseb.patch(f"/v1/applicants/{made['id']}", json=change, headers={"If-Match": "*"})).is_success
    await sweep(service)
    await age_by_days(service, UNUSED_DAYS - 1)
    await sweep(service)
    assert await erased_at(pseb, made["id"]) is None
    await age_by_days(service, 2)
    await sweep(service)
    assert await erased_at(pseb, made["id"]) is not None


async def test_earlier_checks_do_not_delay_an_erasure(service: Service, pseb: Caller) -> None:
    case = await submit_case(pseb)
    for _ in range(3):
        await age_by_days(service, 50)
        await sweep(service)
    await withdraw(pseb, case)
    for _ in range(3):
        await age_by_days(service, 59.9)
        await sweep(service)
        assert await erased_at(pseb, case["applicant_id"]) is None
    await age_by_days(service, 0.4)
    await sweep(service)
    assert await erased_at(pseb, case["applicant_id"]) is not None


async def test_an_applicant_not_due_is_not_checked_again_before_the_shortest_period(
    service: Service, pseb: Caller
) -> None:
    await submit_case(pseb)
    await age_by_days(service, 2)
    await sweep(service)
    rows = "SELECT count(*) FROM applicants WHERE retention_check_at < now() + interval '89 days'"
    async with service.database.transaction(read_only=True) as tx:
        assert await tx.scalar(text(rows)) == 0


async def test_an_erased_applicant_is_not_erased_again(service: Service, pseb: Caller) -> None:
    case = await submit_case(pseb)
    await withdraw(pseb, case)
    await age_by_days(service, NOTHING_DAYS + 1)
    await sweep(service)
    once = (await pseb.get(f"/v1/applicants/{case['applicant_id']}")).json()
    await age_by_days(service, GRANT_DAYS + 1)
    await sweep(service)
    again = (await pseb.get(f"/v1/applicants/{case['applicant_id']}")).json()
    assert (again["version"], again["erased_at"]) == (once["version"], once["erased_at"])


async def test_two_workers_that_sweep_at_once_erase_each_applicant_once(service: Service, pseb: Caller) -> None:
    for _ in range(5):
        await withdraw(pseb, await submit_case(pseb))
    await age_by_days(service, NOTHING_DAYS + 1)
    await asyncio.gather(sweep(service), sweep(service))
    events = await wait_for_event(pseb, "applicant.erased")
    assert [each["name"] for each in events].count("applicant.erased") == 5
    assert [each["name"] for each in events].count("registration.erased") == 5


async def test_an_applicant_erased_by_an_earlier_release_loses_subject_and_references_too(
    service: Service, pseb: Caller
) -> None:
    person = cases.individual()
    case = await cases.submitted(pseb, person, track="vpn_freelancer", purpose="freelancing", reference="OLD-1")
    await withdraw(pseb, case)
    await postgres.execute(
        service.settings.database_url, "UPDATE applicants SET erased_at = now(), retention_check_at = now()"
    )
    await sweep(service)
    assert (await pseb.get(f"/v1/registrations/{case['id']}")).json()["reference"] is None
    assert (await pseb.post("/v1/applicants", json=person)).json()["id"] != case["applicant_id"]


BIG = ["registrations", "applicants", "events", "audit_leaves", "allowlist_entries", "bulk_uploads", "bulk_upload_rows",
       "idempotency_keys"]  # fmt: skip
NO_SCANS = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET enable_seqscan = off', current_database()); END $$"
OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


async def scanned(url: str) -> list[tuple[str, int]]:
    """Return the large tables with sequential scans, once the other backends have ended and reported statistics."""
    connection = await asyncpg.connect(url)
    try:
        while await connection.fetchval(f"SELECT count(*) {OTHERS}"):  # noqa: ASYNC110 - only polling shows it
            await asyncio.sleep(0.05)
        asked = "SELECT relname, seq_scan FROM pg_stat_user_tables WHERE relname = ANY($1) AND seq_scan > 0"
        return [tuple(each) for each in await connection.fetch(asked, BIG)]
    finally:
        await connection.close()


async def test_the_sweep_needs_no_sequential_scan_of_a_large_table(service: Service, pseb: Caller) -> None:
    case = await cases.submitted(pseb, reference="SWEPT-1")
    await withdraw(pseb, case)
    await uploads.ingest(pseb, uploads.csv_of([uploads.row("SWEPT-1", networks="10.0.0.1")]), dry_run=True)
    await sequence_events(service)
    await age_by_days(service, NOTHING_DAYS + 1)
    url = service.settings.database_url
    await postgres.execute(url, NO_SCANS, f"SELECT pg_terminate_backend(pid) {OTHERS}")
    await scanned(url)
    await postgres.execute(url, "SELECT pg_stat_reset()")
    database = Database(service.settings)
    await erase_due(database, CLOCKS)
    await erase_old(database, timedelta(days=NOTHING_DAYS), timedelta(hours=24))
    await database.close()
    assert await scanned(url) == []
    assert await columns_with(service, "SWEPT-1") == []

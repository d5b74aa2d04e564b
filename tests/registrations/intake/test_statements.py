"""Row-level security and locks of intake, whichever way a registration comes in."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import uuid4

import asyncpg
import pytest

from app.core.database.roles import INTAKE
from app.core.principal import Principal
from app.core.validation.networks import parse
from app.registrations.intake.batch import Locks
from app.registrations.intake.service import Registered, prepare, submit
from app.registrations.schemas import RegistrationDetails
from tests.support import cases, postgres, uploads
from tests.support.service import Caller, Service

TABLES = (
    "applicants",
    "registrations",
    "registration_networks",
    "events",
    "idempotency_keys",
    "bulk_uploads",
    "bulk_upload_parts",
    "bulk_upload_rows",
)
# A sequence goes on where its transaction is rolled back, as a dry run's savepoint is.
NOTE = """
CREATE FUNCTION note_insert() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  PERFORM nextval(TG_TABLE_NAME || CASE
    WHEN current_user IN ('register_tenant', 'register_intake')
      AND current_setting('register.partner', true) = '{partner}' THEN '_fenced' ELSE '_open' END);
  RETURN NEW;
END $$
"""
Way = Callable[[Caller], Awaitable[None]]


def who(caller: Caller) -> Principal:
    return Principal(caller.credentials.id, caller.credentials.partner_id, "association", None, frozenset())


def shares_a_lock(one: Caller, other: Caller, reference: str | None) -> bool:
    """True when two partners have a lock in common for a reference and the networks of the test."""
    references = [reference] if reference else []
    locks = [
        Locks.of([parse(network)], references).numbers(caller.credentials.partner_id)
        for caller, network in ((one, "203.99.160.5"), (other, "203.99.161.5"))
    ]
    return not locks[0].isdisjoint(locks[1])


async def noting(service: Service, caller: Caller) -> None:
    """Count inserts into each table, apart by whether they were made as the partner of ``caller``."""
    made = [
        statement
        for table in TABLES
        for statement in (
            f"CREATE SEQUENCE {table}_fenced",
            f"CREATE SEQUENCE {table}_open",
            f"GRANT USAGE ON {table}_fenced, {table}_open TO PUBLIC",
            f"CREATE TRIGGER noted BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION note_insert()",
        )
    ]
    note = NOTE.format(partner=caller.credentials.partner_id)
    await postgres.execute(service.settings.database_url, note, *made)


async def noted(service: Service, kind: str) -> set[str]:
    """The tables with inserts of a kind: ``fenced`` or ``open``."""
    connection = await asyncpg.connect(service.settings.database_url)
    try:
        found = set()
        for table in TABLES:
            if await connection.fetchval(f"SELECT is_called FROM {table}_{kind}"):
                found.add(table)
        return found
    finally:
        await connection.close()


async def one_submission(caller: Caller) -> None:
    made = await caller.post("/v1/applicants", json=cases.company())
    body = cases.registration(made.json()["id"])
    answer = await caller.post("/v1/registrations", json=body, headers={"Idempotency-Key": "once"})
    assert answer.status_code == 201


async def by_file(caller: Caller, *, dry_run: bool = False, upload_format: str = "csv") -> None:
    rows = [uploads.row("sound"), uploads.row("refused", email="@"), uploads.row("later", operator="nobody")]
    body = uploads.WRITERS[upload_format](rows)
    done = await uploads.ingest(caller, body, dry_run=dry_run, upload_format=upload_format, chunk_rows=1)
    assert done["counts"]["created"] == 1


async def by_dry_run(caller: Caller) -> None:
    await by_file(caller, dry_run=True)


async def by_workbook(caller: Caller) -> None:
    await by_file(caller, upload_format="xlsx")


async def by_broken_file(caller: Caller) -> None:
    body = uploads.ndjson_of([uploads.row("a")]) + b"no JSON"
    assert (await uploads.ingest(caller, body, upload_format="ndjson"))["status"] == "failed"


async def by_correction(caller: Caller) -> None:
    officer = await caller.service.officer()
    any_ = {"If-Match": "*"}
    for way in ("patch", "reference", "file"):
        row = uploads.row(f"corrected by {way}")
        await uploads.ingest(caller, uploads.csv_of([row]))
        (case,) = (await caller.get("/v1/registrations", params={"reference": row["reference"]})).json()["items"]
        await cases.decide(officer, case, "reject", reason_codes=["operator_mismatch"])
        path, network = f"/v1/registrations/{case['id']}", cases.address()
        body = cases.registration(case["applicant_id"], reference=row["reference"], networks=[network])
        if way == "patch":
            assert (await caller.patch(path, json={"networks": [network]}, headers=any_)).status_code == 200
            assert (await caller.post(f"{path}/submit", headers=any_)).status_code == 200
        elif way == "reference":
            assert (await caller.post("/v1/registrations", json=body)).status_code == 200
        else:
            done = await uploads.ingest(caller, uploads.csv_of([{**row, "networks": network}]))
            assert done["counts"]["updated"] == 1
    assert (await caller.post(f"{path}/withdraw", headers=any_)).status_code == 200


CASES = {"applicants", "registrations", "registration_networks", "events"}
UPLOADS = {"bulk_uploads", "bulk_upload_parts"}


@pytest.mark.parametrize(
    ("way", "into"),
    [
        (one_submission, {*CASES, "idempotency_keys"}),
        (by_file, {*CASES, *UPLOADS, "bulk_upload_rows"}),
        (by_dry_run, {*CASES, *UPLOADS, "bulk_upload_rows"}),
        (by_workbook, {*CASES, *UPLOADS, "bulk_upload_rows"}),
        (by_broken_file, {*UPLOADS, "events"}),
    ],
)
async def test_every_row_is_inserted_under_the_policies_of_its_partner(
    service: Service, pseb: Caller, way: Way, into: set[str]
) -> None:
    await noting(service, pseb)
    await way(pseb)
    assert (await noted(service, "fenced"), await noted(service, "open")) == (into, set())


async def test_corrections_insert_as_the_partner_and_decisions_as_the_service(service: Service, pseb: Caller) -> None:
    await noting(service, pseb)
    await by_correction(pseb)
    assert await noted(service, "fenced") == {*CASES, *UPLOADS, "bulk_upload_rows"}
    assert await noted(service, "open") == {"events"}


@pytest.mark.parametrize("reference", [None, "the same at both"])
async def test_submissions_of_two_partners_for_one_applicant_or_reference_do_not_wait_for_each_other(
    service: Service, pseb: Caller, pasha: Caller, reference: str | None
) -> None:
    while shares_a_lock(pseb, pasha, reference):  # locks have 256 numbers: one partner in as many shares them by chance
        pasha = await service.caller(f"association {uuid4()}")
    firm = cases.company()
    requests = {}
    for caller, network in ((pseb, "203.99.160.5"), (pasha, "203.99.161.5")):
        applicant = (await caller.post("/v1/applicants", json=firm)).json()["id"]
        body = cases.registration(applicant, networks=[network], reference=reference)
        requests[caller] = RegistrationDetails.model_validate(body).request
    async with service.database.transaction(who(pseb), role=INTAKE, index_plans=True) as held:
        await submit(held, who(pseb), await prepare(held, who(pseb), [requests[pseb]]))
        async with (
            asyncio.timeout(20),
            service.database.transaction(who(pasha), role=INTAKE, index_plans=True) as other,
        ):
            batch = await prepare(other, who(pasha), [requests[pasha]])
            (made,) = (await submit(other, who(pasha), batch)).of_each(batch)
    assert isinstance(made, Registered)
    assert made.outcome == "created"

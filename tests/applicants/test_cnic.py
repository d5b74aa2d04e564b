"""A submitted CNIC is masked in every response and sealed in the database."""

import pytest
from sqlalchemy import text

from app.core.settings import Settings
from tests.support import cases, postgres, uploads
from tests.support.events import wait_for_event
from tests.support.service import Caller, Service

TABLES = text("SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")


async def everything_kept(service: Service) -> str:
    """Return all rows of all tables as text; bytes in hex."""
    async with service.database.transaction(read_only=True) as tx:
        tables = list(await tx.scalars(TABLES))
        rows = [row for table in tables for row in await tx.scalars(text(f"SELECT whole::text FROM {table} AS whole"))]
    assert len(rows) > 100
    return "\n".join(rows)


def assert_not_in(cnic: str, kept: str) -> None:
    for form in (cnic, cnic.replace("-", ""), cnic.encode().hex()):
        assert form not in kept


async def test_every_answer_and_event_has_the_cnic_masked(pseb: Caller, officer: Caller) -> None:
    person = cases.individual()
    masked = f"*****-*****{person['cnic'][-4:]}"
    made = await pseb.post("/v1/applicants", json=person)
    assert made.json()["cnic"] == masked
    path = made.headers["Location"]
    changed = await pseb.patch(path, json={"legal_name": "A. Khan"}, headers={"If-Match": '"1"'})
    case = await pseb.post(
        "/v1/registrations", json=cases.registration(made.json()["id"], track="vpn_freelancer", purpose="freelancing")
    )
    assert case.status_code == 201
    answers = [
        made,
        changed,
        await pseb.post("/v1/applicants", json=person),
        await pseb.get(path),
        await pseb.get("/v1/applicants"),
        await officer.get(path),
        await officer.get("/v1/applicants"),
        await officer.get(f"{case.headers['Location']}/history"),
    ]
    for answer in answers:
        assert answer.status_code in (200, 201)
        assert_not_in(person["cnic"], answer.text + str(answer.headers))
    assert_not_in(person["cnic"], str(await wait_for_event(officer, "registration.submitted")))
    assert (await officer.get(path)).json()["cnic"] == masked


async def test_a_problem_does_not_repeat_the_cnic(pseb: Caller) -> None:
    person = cases.individual()
    await pseb.post("/v1/applicants", json=person)
    firm = await pseb.post("/v1/applicants", json=cases.company())
    refused = [
        await pseb.post("/v1/applicants", json=cases.company(cnic=person["cnic"])),
        await pseb.post("/v1/applicants", json={**person, "cnic": f"{person['cnic']}0"}),
        await pseb.post("/v1/applicants", json={**person, "ntn": person["cnic"], "mobile": person["cnic"]}),
        await pseb.patch(firm.headers["Location"], json={"cnic": person["cnic"]}, headers={"If-Match": '"1"'}),
    ]
    for answer in refused:
        assert answer.status_code == 422
        assert_not_in(person["cnic"], answer.text)


async def test_no_column_of_the_database_holds_a_cnic_that_can_be_read(service: Service, pseb: Caller) -> None:
    person, broken = cases.individual(), cases.individual()
    key = {"Idempotency-Key": "once"}
    made = await pseb.post("/v1/applicants", json=person, headers=key)
    await pseb.patch(made.headers["Location"], json={"mobile": "+923001234567"}, headers={"If-Match": '"1"'})
    freelancer = {"track": "vpn_freelancer", "applicant_kind": "individual", "ntn": ""}
    row = uploads.row("u-1", **freelancer, cnic=person["cnic"], legal_name=person["legal_name"])
    refused = uploads.row("u-2", **freelancer, cnic=broken["cnic"], email="")
    sent = await uploads.send(pseb, uploads.csv_of([row, refused]))
    waiting = await everything_kept(service)
    await service.ingest_all()
    counts = (await pseb.get(sent.headers["Location"])).json()["counts"]
    assert (counts["created"], counts["refused"]) == (1, 1)
    done = await everything_kept(service)
    assert made.json()["id"] in done
    for cnic in (person["cnic"], broken["cnic"]):
        assert_not_in(cnic, waiting)
        assert_not_in(cnic, done)


async def test_a_fault_is_logged_without_the_cnic(
    settings: Settings, pseb: Caller, database_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    person = cases.individual()
    service = Service(settings)
    caller = Caller(service, pseb.credentials, pseb.token)
    await postgres.execute(database_url, "ALTER TABLE applicants RENAME COLUMN sealed_mobile TO telephone")
    answer = await caller.post("/v1/applicants", json=person)
    await service.close()
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    logged = capfd.readouterr().err
    assert "request failed" in logged
    assert_not_in(person["cnic"], answer.text + logged)

"""Personal data of withdrawn and rejected applications is erased after its time; what was decided stays."""

from typing import Any

from app.bulk_uploads import store as bulk_uploads
from app.registrations import service as registrations
from tests.support import cases, postgres, uploads
from tests.support.events import told
from tests.support.service import Caller, Service

DAYS = 180


async def let_days_pass(service: Service, days: int) -> None:
    """Everything becomes older."""
    past = f"interval '{days} days'"
    await postgres.execute(
        service.settings.database_url,
        f"UPDATE registrations SET updated_at = updated_at - {past}",
        f"UPDATE applicants SET updated_at = updated_at - {past}",
        f"UPDATE bulk_uploads SET completed_at = completed_at - {past}",
    )


async def sweep(service: Service) -> None:
    """What the worker does now and then."""
    async with service.database.write() as session:
        await registrations.erase(session, DAYS)
        await bulk_uploads.erase_cells(session, DAYS)


async def an_application(caller: Caller, **changes: Any) -> dict[str, Any]:
    return await cases.submitted(
        caller, cases.individual(mobile="+923001234567", **changes), track="vpn_freelancer", purpose="freelancing",
        subscriber_id="SUB-1", description="Works from home",
    )  # fmt: skip


async def withdrawn(caller: Caller, case: dict[str, Any]) -> None:
    answer = await caller.post(f"/v1/registrations/{case['id']}/withdraw", headers={"If-Match": "*"})
    assert answer.status_code == 200


async def test_nothing_is_erased_before_its_time_or_while_a_case_is_open_or_in_force(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    young, open_, granted = [await an_application(pseb) for _ in range(3)]
    await cases.decide(officer, granted, "approve")
    await let_days_pass(service, DAYS + 1)
    await withdrawn(pseb, young)
    await sweep(service)
    for case in (young, open_, granted):
        applicant = (await pseb.get(f"/v1/applicants/{case['applicant_id']}")).json()
        assert (applicant["erased_at"], applicant["mobile"]) == (None, "+923001234567")
        assert (await pseb.get(f"/v1/registrations/{case['id']}")).json()["description"] == "Works from home"


async def test_who_applied_is_erased_and_the_history_of_the_decision_stays(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    case = await an_application(pseb, email="ayesha@example.com", legal_name="Ayesha Khan")
    await cases.decide(officer, case, "reject", reason_codes=["document_missing"])
    await let_days_pass(service, DAYS + 1)
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
    assert (kept["subscriber_id"], kept["description"]) == (None, None)
    history = (await pseb.get(f"/v1/registrations/{case['id']}/history")).json()["items"]
    assert [each["name"] for each in history] == ["registration.submitted", "registration.rejected"]
    assert applicant["id"] in [each["subject_id"] for each in await told(pseb, "applicant.erased")]


async def test_one_that_is_erased_is_not_erased_again(service: Service, pseb: Caller) -> None:
    case = await an_application(pseb)
    await withdrawn(pseb, case)
    await let_days_pass(service, DAYS + 1)
    await sweep(service)
    once = (await pseb.get(f"/v1/applicants/{case['applicant_id']}")).json()
    await let_days_pass(service, DAYS + 1)
    await sweep(service)
    again = (await pseb.get(f"/v1/applicants/{case['applicant_id']}")).json()
    assert (again["version"], again["erased_at"]) == (once["version"], once["erased_at"])


async def test_who_applies_again_is_known_again_by_the_same_record(service: Service, pseb: Caller) -> None:
    person = cases.individual(legal_name="Ayesha Khan")
    case = await cases.submitted(pseb, person, track="vpn_freelancer", purpose="freelancing")
    await withdrawn(pseb, case)
    await let_days_pass(service, DAYS + 1)
    await sweep(service)
    answer = await pseb.post("/v1/applicants", json=person)
    assert (answer.status_code, answer.json()["id"]) == (200, case["applicant_id"])
    assert (answer.json()["legal_name"], answer.json()["erased_at"]) == ("Ayesha Khan", None)


async def test_refused_rows_lose_their_cells_and_keep_what_was_wrong(service: Service, pseb: Caller) -> None:
    upload = await uploads.uploaded(pseb, uploads.csv_of([uploads.row("A", email="@")]))
    path = f"/v1/bulk-uploads/{upload['id']}"
    assert len((await pseb.get(f"{path}/refused.csv")).text.splitlines()) == 2
    await let_days_pass(service, DAYS + 1)
    await sweep(service)
    assert len((await pseb.get(f"{path}/refused.csv")).text.splitlines()) == 1
    assert "email_malformed" in (await pseb.get(f"{path}/problems.csv")).text

"""No table holds personal data of an erased applicant, and the whole log still verifies."""

from typing import Any

from app.applicants import store as applicants
from tests.support import cases, uploads
from tests.support.audit_trees import sequence_events, verify_log
from tests.support.erasure import columns_with, dump_columns, erase, revoke, withdraw
from tests.support.service import Caller, Service

PERSON = {
    "cnic": "35202-1234567-1", "legal_name": "Zubaida Qureshi", "email": "zubaida@qureshi.example.pk",
    "mobile": "+923217654321", "pseb_number": "PSEB-I-777001",
}  # fmt: skip
TEXTS = {"subscriber_id": "SUB-ZUBAIDA", "description": "From Zubaida's home"}
KEY = {"Idempotency-Key": "zubaida"}


def hashes(service: Service, person: dict[str, Any]) -> list[str]:
    """Return the keyed hashes of a person's CNIC and e-mail address."""
    keyring = service.database.keyring
    return [applicants.blind_index(keyring, name, person[name]) for name in ("cnic", "email")]


async def complete_case(service: Service, pseb: Caller, officer: Caller) -> dict[str, Any]:
    """Take a case through everything that stores its reference: idempotent answers, corrections, uploads, allowlist."""
    made = await pseb.post("/v1/applicants", json=cases.individual(**PERSON), headers=KEY)
    asked = {"track": "vpn_freelancer", "purpose": "freelancing", "reference": "REF-ZUBAIDA-1", **TEXTS}
    body = cases.registration(made.json()["id"], **asked)
    answer = await pseb.post("/v1/registrations", json=body, headers={"Idempotency-Key": "case"})
    again = await pseb.post("/v1/registrations", json=body, headers={"Idempotency-Key": "same"})
    assert (answer.status_code, again.status_code) == (201, 200)
    case: dict[str, Any] = answer.json()
    why = {"reason_codes": ["document_missing"]}
    assert (await cases.decide(officer, case, "request_information", **why)).status_code == 201
    row = uploads.row("REF-ZUBAIDA-1")
    await uploads.ingest(pseb, uploads.csv_of([row]), dry_run=True)
    await uploads.ingest(pseb, uploads.csv_of([{**row, "networks": "10.0.0.1"}, {**row, "email": "@"}]))
    path = f"/v1/registrations/{case['id']}"
    corrected = await pseb.patch(path, json={"reference": "REF-ZUBAIDA-2"}, headers={"If-Match": "*"})
    assert corrected.status_code == 200
    assert (await pseb.post(f"{path}/submit", headers={"If-Match": "*"})).status_code == 200
    await uploads.ingest(pseb, uploads.csv_of([{**row, "reference": "REF-ZUBAIDA-2"}]))
    current = (await officer.get(path)).json()
    assert (await cases.decide(officer, current, "approve")).status_code == 201
    await cases.approved(pseb, officer)
    await service.publish()
    await revoke(officer, case)
    return case


async def test_no_table_holds_anything_of_who_was_erased(service: Service, pseb: Caller, officer: Caller) -> None:
    case = await complete_case(service, pseb, officer)
    await sequence_events(service)
    words = [*PERSON.values(), *TEXTS.values(), "REF-ZUBAIDA", "zubaida", *hashes(service, PERSON)]
    before = await columns_with(service, *words)
    assert {"allowlist_entries.holder", "applicants.subject", "registrations.subject", "events.details"} <= set(before)
    assert {"applicants.cnic_hash", "applicants.email_hash", "bulk_upload_rows.reference"} <= set(before)
    assert "bulk_upload_rows.problems" in before
    await erase(pseb, case["applicant_id"])
    await service.publish()
    left = await columns_with(service, *[word for word in words if word != "zubaida"])
    assert left == []


async def test_no_stored_idempotent_answer_of_an_erased_applicant_is_left(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    case = await complete_case(service, pseb, officer)
    await pseb.post("/v1/applicants", json=cases.individual(), headers={"Idempotency-Key": "other"})
    await erase(pseb, case["applicant_id"])
    keys = (await dump_columns(service))["idempotency_keys.key"].split("\n")
    assert keys == ["other"]


async def test_no_salt_is_left_with_which_a_reference_could_be_guessed(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    case = await complete_case(service, pseb, officer)
    await sequence_events(service)
    assert (await dump_columns(service))["audit_leaves.erasable_salt"]
    await erase(pseb, case["applicant_id"])
    assert (await dump_columns(service))["audit_leaves.erasable_salt"] == ""


async def test_the_same_persons_new_record_has_nothing_to_do_with_the_erased_one(
    service: Service, pseb: Caller, pasha: Caller, officer: Caller
) -> None:
    case = await complete_case(service, pseb, officer)
    elsewhere = (await pasha.post("/v1/applicants", json=cases.individual(**PERSON))).json()
    await erase(pseb, case["applicant_id"])
    anew = await cases.submitted(pseb, cases.individual(**PERSON), track="vpn_freelancer", purpose="freelancing")
    assert anew["applicant_id"] != case["applicant_id"]
    old, new, other = [
        (await officer.get(f"/v1/applicants/{id_}")).json()["subject"]
        for id_ in (case["applicant_id"], anew["applicant_id"], elsewhere["id"])
    ]
    assert new == other == hashes(service, PERSON)[0]
    assert (len(old), set(old) <= set("0123456789abcdef"), old != new) == (64, True, True)
    assert await columns_with(service, old) == [
        "allowlist_entries.holder",
        "applicants.subject",
        "registrations.subject",
    ]
    found = (await officer.get(f"/v1/applicants?subject={new}")).json()["items"]
    assert case["applicant_id"] not in [each["id"] for each in found]


async def test_the_whole_log_verifies_after_an_erasure_and_after_later_events(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    case = await complete_case(service, pseb, officer)
    await sequence_events(service)
    await erase(pseb, case["applicant_id"])
    await verify_log(service)
    size = await sequence_events(service)
    assert (await verify_log(service)).size == size
    history = (await pseb.get(f"/v1/registrations/{case['id']}/history")).json()["items"]
    submitted = [each["details"] for each in history if each["name"] == "registration.submitted"]
    assert submitted
    for details in submitted:
        assert "reference" not in details
        assert (details["erased"], details["status"]) == (["reference"], "submitted")
    assert history[-1]["name"] == "registration.erased"


async def test_references_of_other_applicants_stay(pseb: Caller, service: Service) -> None:
    first = await cases.submitted(pseb, reference="MINE-1")
    other = await cases.submitted(pseb, reference="MINE-2")
    await withdraw(pseb, first)
    await erase(pseb, first["applicant_id"])
    assert (await pseb.get(f"/v1/registrations/{other['id']}")).json()["reference"] == "MINE-2"
    assert await columns_with(service, "MINE-1") == []

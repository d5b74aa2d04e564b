"""Codes and pointers of refused submissions, which write nothing."""

from typing import Any
from uuid import uuid4

from tests.support import cases
from tests.support.service import Caller

MALFORMED: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"track": None}, {"/track": "missing_field"}),
    ({"track": "vpn"}, {"/track": "invalid_value"}),
    ({"purpose": None}, {"/purpose": "missing_field"}),
    ({"purpose": "gaming"}, {"/purpose": "invalid_value"}),
    ({"protocol": "pptp"}, {"/protocol": "invalid_value"}),
    ({"protocol": None}, {"/protocol": "missing_field"}),
    ({"track": "call_centre"}, {"/subscriber_id": "missing_field"}),
    ({"track": "video_conference", "subscriber_id": " "}, {"/subscriber_id": "missing_field"}),
    ({"track": "vpn_freelancer"}, {"/track": "invalid_value"}),
    ({"operator": None}, {"/operator": "missing_field"}),
    ({"operator": "acme"}, {"/operator": "unknown_operator"}),
    ({"operator": "Nayatel"}, {"/operator": "unknown_operator"}),
    ({"subscriber_id": "x" * 201}, {"/subscriber_id": "invalid_value"}),
    ({"reference": "x" * 101}, {"/reference": "invalid_value"}),
    ({"reference": "a\tb"}, {"/reference": "invalid_value"}),
    ({"reference": "F-900\u200b"}, {"/reference": "invalid_value"}),
    ({"reference": "#N/A"}, {"/reference": "invalid_value"}),
    ({"reference": "3520212345672"}, {"/reference": "invalid_value"}),
    ({"reference": "3.52E+12"}, {"/reference": "invalid_value"}),
    ({"subscriber_id": "0"}, {"/subscriber_id": "invalid_value"}),
    ({"subscriber_id": "NULL"}, {"/subscriber_id": "invalid_value"}),
    ({"description": "owner CNIC 3520212345671"}, {"/description": "invalid_value"}),
    ({"description": "Caf\ufffd"}, {"/description": "invalid_value"}),
    ({"description": "x" * 2001}, {"/description": "invalid_value"}),
    ({"description": "a\u0007b"}, {"/description": "invalid_value"}),
    ({"description": "for 90001-1234567-1"}, {"/description": "invalid_value"}),
    ({"reference": "90001-1234567-1"}, {"/reference": "invalid_value"}),
    ({"subscriber_id": "90001-1234567-1"}, {"/subscriber_id": "invalid_value"}),
    ({"applicant_id": "me"}, {"/applicant_id": "invalid_value"}),
    ({"status": "approved"}, {"/status": "invalid_value"}),
    ({"flags": []}, {"/flags": "invalid_value"}),
    ({"networks": None}, {"/networks": "missing_field"}),
    ({"networks": []}, {"/networks": "missing_field"}),
    ({"networks": "203.99.160.5"}, {"/networks": "invalid_value"}),
    ({"networks": [7]}, {"/networks/0": "invalid_value"}),
    ({"networks": [f"203.99.160.{n}" for n in range(65)]}, {"/networks": "invalid_value"}),
    ({"networks": ["203.99.160.256"]}, {"/networks/0": "network_malformed"}),
    ({"networks": ["203.99.160.05"]}, {"/networks/0": "network_malformed"}),
    ({"networks": ["203.99.160.5/33"]}, {"/networks/0": "network_malformed"}),
    ({"networks": ["2400:1460::g"]}, {"/networks/0": "network_malformed"}),
    ({"networks": ["203.99.160.5/29"]}, {"/networks/0": "network_host_bits"}),
    ({"networks": ["203.99.160.0/23"]}, {"/networks/0": "network_too_wide"}),
    ({"networks": ["2400:1460::/47"]}, {"/networks/0": "network_too_wide"}),
    ({"networks": ["203.99.160.5", "10.0.0.1"]}, {"/networks/1": "network_reserved"}),
    ({"networks": ["64:ff9b::7f00:1"]}, {"/networks/0": "network_reserved"}),
    ({"networks": ["203.99.160.5", "203.99.160.0/29"]}, {"/networks/1": "network_overlap"}),
]  # fmt: skip


async def test_each_malformed_field_has_its_code_and_pointer_and_nothing_is_written(pseb: Caller) -> None:
    applicant = (await pseb.post("/v1/applicants", json=cases.company())).json()
    for changes, expected in MALFORMED:
        answer = await pseb.post("/v1/registrations", json=cases.registration(applicant["id"]) | changes)
        assert (answer.status_code, cases.codes(answer)) == (422, expected), changes
        assert answer.json()["code"] == next(iter(expected.values()))
    assert (await pseb.get("/v1/registrations")).json()["items"] == []


async def test_all_errors_come_at_once(pseb: Caller) -> None:
    body = {
        "track": "call_centre",
        "purpose": "fun",
        "protocol": "smoke",
        "networks": ["203.99.160.5", "10.0.0.1", "x", "203.99.160.5/32", "203.99.160.6/24"],
        "colour": 1,
    }
    answer = await pseb.post("/v1/registrations", json=body)
    assert answer.status_code == 422
    assert cases.codes(answer) == {
        "/applicant_id": "missing_field",
        "/operator": "missing_field",
        "/subscriber_id": "missing_field",
        "/purpose": "invalid_value",
        "/protocol": "invalid_value",
        "/networks/1": "network_reserved",
        "/networks/2": "network_malformed",
        "/networks/3": "network_overlap",
        "/networks/4": "network_host_bits",
        "/colour": "invalid_value",
    }


async def test_a_malformed_body_is_told_what_the_register_refuses_too(pseb: Caller, officer: Caller) -> None:
    other, own = await cases.approved(pseb, officer), await cases.submitted(pseb, cases.company())
    networks = ["x", *other["networks"], "10.0.0.1", *own["networks"]]
    body = cases.registration(str(uuid4()), purpose="fun", operator="acme", networks=networks)
    malformed = {"/purpose": "invalid_value", "/networks/0": "network_malformed", "/networks/2": "network_reserved"}
    answer = await pseb.post("/v1/registrations", json=body)
    assert (answer.status_code, cases.codes(answer)) == (
        422,
        {**malformed, "/applicant_id": "not_found", "/operator": "unknown_operator"},
    )
    body |= {"applicant_id": own["applicant_id"], "operator": [], "track": "vpn_freelancer"}
    assert cases.codes(await pseb.post("/v1/registrations", json=body)) == {
        **malformed,
        "/operator": "invalid_value",
        "/track": "invalid_value",
        "/networks/1": "network_taken",
        "/networks/3": "network_overlap",
    }


async def test_another_partners_grant_is_told_of_an_unknown_applicant_too(
    pseb: Caller, pasha: Caller, officer: Caller
) -> None:
    granted = await cases.approved(pasha, officer)
    body = cases.registration(str(uuid4()), networks=granted["networks"])
    answer = await pseb.post("/v1/registrations", json=body)
    expected = {"/applicant_id": "not_found", "/networks/0": "network_taken"}
    assert (answer.status_code, cases.codes(answer)) == (422, expected)


async def test_a_malformed_correction_is_told_what_the_register_refuses_too(pseb: Caller, officer: Caller) -> None:
    case = await cases.submitted(pseb)
    await cases.decide(officer, case, "reject", reason_codes=["document_missing"])
    change = {"operator": "acme", "protocol": "smoke", "networks": [*case["networks"], "x"]}
    path, headers = f"/v1/registrations/{case['id']}", {"If-Match": "*"}
    assert cases.codes(await pseb.patch(path, json=change, headers=headers)) == {
        "/operator": "unknown_operator",
        "/protocol": "invalid_value",
        "/networks/1": "network_malformed",
    }


async def test_all_conflicts_with_the_register_come_at_once_too(pseb: Caller, officer: Caller) -> None:
    other = await cases.approved(pseb, officer)
    firm = cases.company()
    held, own = [await cases.submitted(pseb, firm, reference=reference) for reference in ("mine", "more")]
    body = cases.registration(
        held["applicant_id"],
        track="vpn_freelancer",
        operator="acme",
        reference="mine",
        networks=[*own["networks"], *other["networks"], cases.address()],
    )
    answer = await pseb.post("/v1/registrations", json=body)
    assert (answer.status_code, cases.codes(answer)) == (
        422,
        {
            "/track": "invalid_value",
            "/operator": "unknown_operator",
            "/reference": "reference_duplicate",
            "/networks/0": "network_overlap",
            "/networks/1": "network_taken",
        },
    )


async def test_the_error_of_set_host_bits_names_the_two_likely_networks(pseb: Caller) -> None:
    applicant = (await pseb.post("/v1/applicants", json=cases.company())).json()
    body = cases.registration(applicant["id"], networks=["203.99.160.5/29"])
    (error,) = (await pseb.post("/v1/registrations", json=body)).json()["errors"]
    assert "203.99.160.5/32" in error["detail"]
    assert "203.99.160.0/29" in error["detail"]


async def test_an_applicant_that_is_unknown_or_anothers_is_not_found(pseb: Caller, pasha: Caller) -> None:
    theirs = (await pasha.post("/v1/applicants", json=cases.company())).json()
    for applicant_id in (str(uuid4()), theirs["id"]):
        answer = await pseb.post("/v1/registrations", json=cases.registration(applicant_id))
        assert (answer.status_code, cases.codes(answer)) == (404, {"/applicant_id": "not_found"})


async def test_an_operator_cannot_submit(nayatel: Caller, pseb: Caller) -> None:
    applicant = (await pseb.post("/v1/applicants", json=cases.company())).json()
    answer = await nayatel.post("/v1/registrations", json=cases.registration(applicant["id"]))
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_networks_and_texts_are_stored_in_canonical_form(pseb: Caller) -> None:
    networks = ["203.99.160.5", "203.99.161.0/24", "2400:1460:1:0::/64", "2400:1460:0002::A"]
    case = await cases.submitted(pseb, networks=networks, description="One\r\ntwo", protocol="l2tp")
    assert case["networks"] == ["203.99.160.5/32", "203.99.161.0/24", "2400:1460:1::/64", "2400:1460:2::a/128"]
    assert (case["description"], case["status"], case["version"]) == ("One\ntwo", "submitted", 1)
    read = await pseb.get(f"/v1/registrations/{case['id']}")
    assert (read.json(), read.headers["ETag"]) == (case, '"1"')


async def test_a_refusal_names_the_text_to_write(pseb: Caller) -> None:
    made = (await pseb.post("/v1/applicants", json=cases.company())).json()
    wrong = {"track": "VPN Company", "protocol": "IPSec", "networks": ["39.49.1.59:1194", "39.49.1.24 - 31"]}
    answer = await pseb.post("/v1/registrations", json=cases.registration(made["id"], **wrong))
    assert {each["pointer"]: each["detail"] for each in answer.json()["errors"]} == {
        "/track": "Write vpn_company.",
        "/protocol": "Write ipsec.",
        "/networks/0": "A network has no port and no brackets: write 39.49.1.59.",
        "/networks/1": "Write 39.49.1.24/29.",
    }
    answer = await pseb.post("/v1/registrations", json=cases.registration(made["id"], operator="Nayatel"))
    assert [each["detail"] for each in answer.json()["errors"]] == ["Write nayatel."]

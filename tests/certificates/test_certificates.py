"""A certificate says what is in force, to whoever may read the case, and can be verified by anybody."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from joserfc.errors import InvalidKeyIdError, JoseError

from app.allowlist.serving.manifest import ManifestRefused, verify_manifest
from app.core.auth.signatures import new_key, sign
from app.core.errors import NotFound
from app.partners import service as partners
from app.partners import store
from tests.support import cases, certificates, postgres
from tests.support.cases_in_status import cases_in_status
from tests.support.service import Caller, Service
from tests.support.signing import bearer

CERTIFIED = ("approved", "lapsed")
REFUSED = (
    "submitted", "in_review", "information_requested", "rejected", "suspended", "revoked", "expired", "superseded",
    "surrendered", "withdrawn",
)  # fmt: skip


@pytest.mark.parametrize(
    ("query", "accept", "status", "code", "pointer"),
    [
        ("?format=doc", "", 422, "invalid_value", "/query/format"),
        ("?format=", "", 422, "invalid_value", "/query/format"),
        ("?form=pdf", "", 422, "invalid_value", "/query/form"),
        ("?format=pdf&format=svg", "", 422, "invalid_value", "/query/format"),
        ("", "text/html", 406, "not_acceptable", None),
        ("", "application/pdf;q=0", 406, "not_acceptable", None),
    ],
    ids=["another form", "no form", "unknown parameter", "two forms", "html", "none of them"],
)
async def test_what_is_asked_for_wrongly_is_refused_with_what_to_write(
    pseb: Caller, officer: Caller, query: str, accept: str, status: int, code: str, pointer: str | None
) -> None:
    case = await cases.approved(pseb, officer)
    headers = {"Accept": accept} if accept else {}
    answer = await pseb.get(f"/v1/registrations/{case['id']}/certificate{query}", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert [each["pointer"] for each in answer.json().get("errors", [])] == ([pointer] if pointer else [])


async def test_only_who_may_read_the_case_gets_its_certificate(
    service: Service, pseb: Caller, pasha: Caller, officer: Caller, nayatel: Caller
) -> None:
    case = await cases.approved(pseb, officer)
    path = f"/v1/registrations/{case['id']}/certificate"
    assert (await service.http.get(path)).status_code == 401
    writer = await service.caller("pseb", client="writer", scopes=["registrations:write"])
    assert (await writer.get(path)).status_code == 403
    for caller in (pseb, officer, nayatel):
        assert certificates.claims_of(await certificates.signed(caller, case))["sub"] == case["id"]
    another = await cases.approved(pseb, officer, operator="ptcl")
    for caller, id_ in ((pasha, case["id"]), (nayatel, another["id"]), (pseb, str(uuid4()))):
        refused = await caller.get(f"/v1/registrations/{id_}/certificate")
        assert refused.status_code == 404


async def test_anothers_case_is_like_one_that_never_was_in_whatever_status(
    pseb: Caller, pasha: Caller, officer: Caller
) -> None:
    approved, submitted = await cases.approved(pseb, officer), await cases.submitted(pseb)
    answers = set()
    for id_ in (approved["id"], submitted["id"], str(uuid4())):
        for form in ("jws", "pdf", "svg"):
            answer = await pasha.get(f"/v1/registrations/{id_}/certificate?format={form}")
            answers.add((answer.status_code, answer.text.replace(id_, "id")))
    assert len(answers) == 1


async def test_what_is_not_in_force_is_not_certified_in_any_form(pseb: Caller) -> None:
    for case, status in zip(await cases_in_status(pseb, REFUSED), REFUSED, strict=True):
        for form in ("jws", "pdf", "svg"):
            answer = await certificates.get(pseb, case, form)
            assert (answer.status_code, answer.json()["code"]) == (409, "not_in_force"), status
            assert status.replace("_", " ") in answer.json()["detail"]


async def test_a_certificate_is_verified_by_the_published_keys_and_says_what_is_in_force(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    networks = [cases.address(), "101.50.120.16/29"]
    case = await cases.approved(pseb, officer, networks=networks)
    answer = await certificates.get(pseb, case)
    assert answer.headers["content-type"] == "application/jwt"
    assert answer.headers["cache-control"] == "no-store"
    assert "accept" in answer.headers["vary"].lower()
    token = await certificates.verified(service, answer.text)
    assert token.header["typ"] == "registration-certificate+jwt"
    claims = token.claims
    issuer = service.settings.public_url
    assert set(claims) == {
        "iss", "sub", "networks", "track", "operator", "valid_from", "exp", "iat", "status",
    }  # fmt: skip
    assert claims["iss"] == issuer
    assert claims["sub"] == case["id"]
    assert claims["networks"] == case["networks"]
    assert (claims["track"], claims["operator"]) == (case["track"], case["operator"])
    assert claims["exp"] == int(datetime.fromisoformat(case["expires_at"]).timestamp())
    assert claims["valid_from"] == int(datetime.fromisoformat(case["decided_at"]).timestamp())
    assert claims["valid_from"] <= claims["iat"] < claims["exp"]
    assert set(claims["status"]) == {"status_list"}
    assert claims["status"]["status_list"]["uri"] == f"{issuer}/v1/certificates/status-list"


async def test_nothing_in_a_certificate_names_the_holder(pseb: Caller, officer: Caller) -> None:
    person = cases.individual()
    case = await cases.approved(
        pseb, officer, person, track="vpn_freelancer", purpose="freelancing", reference="R-77", description="at home"
    )
    payload = str(certificates.claims_of(await certificates.signed(pseb, case)))
    hidden = [*person.values(), "R-77", "at home", case["applicant_id"], str(pseb.credentials.partner_id), "pseb"]
    assert [each for each in hidden if each in payload and each != "individual"] == []


async def test_a_lapsed_case_is_certified_a_day_at_a_time(service: Service, pseb: Caller, officer: Caller) -> None:
    (lapsed,) = await cases_in_status(pseb, ["lapsed"])
    for moved in (timedelta(), timedelta(days=400)):
        await service.move_clock(moved)
        claims = certificates.claims_of(await certificates.signed(pseb, lapsed))
        assert claims["exp"] - claims["iat"] == 24 * 60 * 60
        assert abs(claims["iat"] - (datetime.now(UTC) + moved).timestamp()) < 60


async def test_an_extended_approval_gets_a_longer_certificate_at_the_same_place(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    case = await cases.approved(pseb, officer)
    first = await certificates.signed(pseb, case)
    await postgres.execute(
        service.settings.database_url, "UPDATE registrations SET expires_at = expires_at + interval '100 days'"
    )
    second = await certificates.signed(pseb, case)
    assert certificates.index_of(first) == certificates.index_of(second)
    assert certificates.claims_of(second)["exp"] - certificates.claims_of(first)["exp"] == 100 * 24 * 60 * 60


async def test_twenty_who_ask_at_once_for_one_certificate_get_one_place(pseb: Caller, officer: Caller) -> None:
    case = await cases.approved(pseb, officer)
    found = await asyncio.gather(*(certificates.signed(pseb, case) for _ in range(20)))
    assert len({certificates.index_of(each) for each in found}) == 1


async def test_a_certificate_that_was_changed_or_signed_by_another_does_not_verify(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    one = await certificates.signed(pseb, await cases.approved(pseb, officer))
    two = await certificates.signed(pseb, await cases.approved(pseb, officer))
    header, payload, signature = one.split(".")
    for forged in (f"{header}.{two.split('.')[1]}.{signature}", f"{header}.{payload}.{two.split('.')[2]}"):
        with pytest.raises(JoseError):
            await certificates.verified(service, forged)
    stranger = sign("registration-certificate+jwt", b"{}", new_key("Ed25519"))
    with pytest.raises((JoseError, ValueError)):
        await certificates.verified(service, stranger)


async def test_a_certificate_is_no_token_and_no_manifest(service: Service, pseb: Caller, officer: Caller) -> None:
    token = await certificates.signed(pseb, await cases.approved(pseb, officer))
    for signed in (token, (await service.http.get(certificates.STATUS_LIST)).text):
        assert (await service.http.get("/v1/registrations", headers=bearer(signed))).status_code == 401
        with pytest.raises(ManifestRefused):
            verify_manifest(signed, await certificates.published_keys(service), datetime.now(UTC))


async def kids(service: Service) -> set[str]:
    await asyncio.sleep(1)  # the key set is at most so old
    return {str(each.kid) for each in (await certificates.published_keys(service)).keys}


async def test_a_retired_key_stays_published_for_the_certificates_that_it_signed_and_signs_no_token(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    token = await certificates.signed(pseb, await cases.approved(pseb, officer))
    (old,) = await kids(service)
    async with service.database.transaction() as tx:
        new = await store.rotate_signing_key(tx)
    await service.let_keys_settle()
    await postgres.execute(
        service.settings.database_url,
        "UPDATE signing_keys SET retired_at = now() - interval '8 days' WHERE retired_at IS NOT NULL",
    )
    assert await kids(service) == {old, new}
    assert (await certificates.verified(service, token)).header["kid"] == old
    async with service.database.transaction(read_only=True) as tx:
        assert {each.kid for each in (await store.public_keys(tx)).keys} == {new}
    await service.move_clock(timedelta(days=800))
    assert await kids(service) == {new}


async def test_a_revoked_key_verifies_nothing_more_and_a_new_certificate_is_signed_by_another(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    case = await cases.approved(pseb, officer)
    token = await certificates.signed(pseb, case)
    (old,) = await kids(service)
    async with service.database.transaction() as tx:
        new = await partners.revoke_signing_key(tx, old)
    await service.app.state.revocations.refresh()
    assert await kids(service) == {new}
    with pytest.raises((InvalidKeyIdError, ValueError)):
        await certificates.verified(service, token)
    fresh = Caller(service, pseb.credentials, await service.token(pseb.credentials))
    again = await certificates.signed(fresh, case)
    assert (await certificates.verified(service, again)).header["kid"] == new
    assert certificates.index_of(again) == certificates.index_of(token)
    listed = (await service.http.get(certificates.STATUS_LIST)).text
    assert (await certificates.verified(service, listed)).header["kid"] == new
    async with service.database.transaction() as tx:
        with pytest.raises(NotFound):
            await partners.revoke_signing_key(tx, "none")


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256"])
async def test_certificates_are_signed_with_whatever_algorithm_the_service_is_set_to(
    service: Service, pseb: Caller, officer: Caller, algorithm: Any
) -> None:
    async with service.database.transaction() as tx:
        await store.rotate_signing_key(tx, algorithm)
    await service.let_keys_settle()
    await asyncio.sleep(1)
    token = await certificates.verified(service, await certificates.signed(pseb, await cases.approved(pseb, officer)))
    assert token.header["alg"] == algorithm


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", "application/jwt"),
        ("*/*", "application/jwt"),
        ("application/pdf", "application/pdf"),
        ("image/svg+xml", "image/svg+xml"),
        ("application/jwt;q=0.1, image/*", "image/svg+xml"),
    ],
    ids=["none", "any", "pdf", "svg", "weights"],
)
async def test_accept_chooses_the_form(pseb: Caller, officer: Caller, accept: str, media_type: str) -> None:
    case = await cases.approved(pseb, officer)
    answer = await pseb.get(f"/v1/registrations/{case['id']}/certificate", headers={"Accept": accept})
    assert answer.headers["content-type"].partition(";")[0] == media_type


async def test_networks_that_were_given_back_leave_the_certificate_and_end_the_old_one(
    service: Service, pseb: Caller, officer: Caller, fast_list: None
) -> None:
    kept, given_back = cases.address(), cases.address()
    case = await cases.approved(pseb, officer, networks=[kept, given_back])
    old = await certificates.signed(pseb, case)
    await surrender(service, given_back)
    assert await certificates.status_of(service, old) == 1
    new = await certificates.signed(pseb, case)
    assert certificates.claims_of(new)["networks"] == [f"{kept}/32"]
    assert certificates.index_of(new) != certificates.index_of(old)
    assert [await certificates.status_of(service, each) for each in (old, new)] == [1, 0]
    await surrender(service, kept)
    refused: httpx.Response = await certificates.get(pseb, case)
    assert refused.json()["code"] == "not_in_force"


async def surrender(service: Service, network: str) -> None:
    """Give one network of a case back."""
    await postgres.execute(
        service.settings.database_url,
        "UPDATE allowlist_entries SET withdrawn_at = register_now(), withdrawn_reason = 'surrendered' "
        f"WHERE network = '{network}'",
    )

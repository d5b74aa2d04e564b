"""Another association's objects look as if they did not exist, on every route that takes an id."""

from typing import Any
from uuid import uuid4

import pytest

from app.partners.rules import PartnerKind
from tests.support import cases, disruptions, uploads
from tests.support.held_changes import held_removal
from tests.support.service import Caller, Service

METHODS = ("get", "patch", "post", "put", "delete")
# Routes whose parameter names nothing that belongs to a partner.
NOBODYS = {
    "/v1/allowlist/snapshots/{serial}",
    "/v1/allowlist/deltas/{serial}",
    "/v1/allowlist/publications/{serial}",
    "/problems/{code}",
}
# The case that is made is not in force.
CERTIFICATE = "/v1/registrations/{registration_id}/certificate"
# What only the regulator's clients have the scope for: there the answer is 403, whatever the id.
REGULATORS = ("/v1/partners", "/v1/review-decisions", "/v1/allowlist/held")


def routes(service: Service) -> list[tuple[str, str]]:
    """Method and path of each operation that takes an id."""
    found = [
        (method, path)
        for path, operations in service.app.openapi()["paths"].items()
        for method in METHODS
        if method in operations and "{" in path and path not in NOBODYS
    ]
    assert len(found) >= 15
    return found


def fill_in(path: str, ids: dict[str, str]) -> str:
    """Return the path with the given ids; a parameter without one is an error of this test."""
    return path.format_map(ids)


async def create_one_of_each(pseb: Caller, officer: Caller) -> tuple[dict[str, str], list[str]]:
    """Create one object of each kind; return their ids by parameter, and the texts that nobody else may read."""
    firm = cases.company(legal_name="Confidential Softworks", email="secret@confidential.example.pk")
    case = await cases.submitted(
        pseb, firm, reference="SECRET-REF", description="Secret plan", subscriber_id="SECRET-SUB"
    )
    why = {"reason_codes": ["other"], "note": "Secret note"}
    decision = (await cases.decide(officer, case, "request_information", **why)).json()
    rows = [uploads.row("SECRET-ROW"), uploads.row("SECRET-BAD", email="x")]
    upload = await uploads.ingest(pseb, uploads.csv_of(rows))
    ids = {
        "applicant_id": case["applicant_id"],
        "registration_id": case["id"],
        "decision_id": decision["id"],
        "upload_id": upload["id"],
        "partner_id": str(pseb.credentials.partner_id),
        "client_id": str(pseb.credentials.id),
        "change_id": str(uuid4()),
        "held_id": await held_removal(pseb.service),
        "report_id": (await disruptions.sent(pseb, disruptions.body_of(cases.address())))["id"],
        "webhook_id": (await pseb.post("/v1/webhooks", json={"url": "https://secret.example/SECRET"})).json()["id"],
    }
    private = ["Confidential", "confidential.example", "Secret", "SECRET", firm["ntn"], *case["networks"]]
    return ids, private


async def ask(caller: Caller, method: str, path: str) -> Any:
    body: dict[str, Any] = {"json": {}} if method == "patch" or path.endswith("/reopen") else {}
    if path.endswith("/replay"):
        body = {"json": {"after": str(uuid4())}}
    if path.endswith("/findings"):
        body = {"json": {"finding": "fixed"}}
    return await caller.request(method.upper(), path, headers={"If-Match": "*"}, **body)


async def test_anothers_object_and_one_that_never_was_get_the_same_answer(
    service: Service, pseb: Caller, pasha: Caller, officer: Caller
) -> None:
    ids, private = await create_one_of_each(pseb, officer)
    never = {name: str(uuid4()) for name in ids}
    for method, path in routes(service):
        theirs = await ask(pasha, method, fill_in(path, ids))
        nobodys = await ask(pasha, method, fill_in(path, never))
        needs_another_kind = path.endswith(("/claim", "/reveal", "/acknowledge", "/findings"))
        needs_another_kind |= path.startswith(REGULATORS)
        expected = (403, "forbidden") if needs_another_kind else (404, "not_found")
        assert (theirs.status_code, theirs.json()["code"]) == expected, (method, path)
        assert {**theirs.json(), "instance": ""} == {**nobodys.json(), "instance": ""}, (method, path)
        for word in private:
            assert word not in theirs.text + str(theirs.headers), (method, path)


async def test_an_operator_that_is_not_named_learns_nothing_and_one_that_is_learns_only_the_case(
    service: Service, pseb: Caller, nayatel: Caller, officer: Caller
) -> None:
    ids, private = await create_one_of_each(pseb, officer)
    stranger = await service.caller("ptcl", PartnerKind.OPERATOR, operator="ptcl")
    networks = private[-1:]
    for method, path in routes(service):
        refused = await ask(stranger, method, fill_in(path, ids))
        assert refused.status_code in (403, 404), (method, path)
        named = await ask(nayatel, method, fill_in(path, ids))
        is_its_case = method == "get" and path.startswith("/v1/registrations/")
        if path != CERTIFICATE:
            assert (named.status_code == 200) == is_its_case, (method, path)
        for word in private:
            assert word not in refused.text, (method, path)
        for word in ("Confidential", "confidential.example", "Secret note", "SECRET-ROW"):
            assert word not in named.text, (method, path)
    assert networks[0] in (await nayatel.get(f"/v1/registrations/{ids['registration_id']}")).text


async def test_the_owner_is_answered_where_the_other_association_was_not(
    service: Service, pseb: Caller, admin: Caller
) -> None:
    ids, _ = await create_one_of_each(pseb, admin)
    regulator = str(admin.credentials.partner_id)
    asked = (await admin.post(f"/v1/partners/{regulator}/clients", json={"name": "new"})).json()
    change = {"partner_id": regulator, "change_id": asked["id"]}
    for method, path in routes(service):
        if method == "get":
            own = {**ids, **change} if "{change_id}" in path else ids
            answer = await ask(admin if path.startswith(REGULATORS) else pseb, method, fill_in(path, own))
            assert answer.status_code == (409 if path == CERTIFICATE else 200), (path, answer.text)


@pytest.mark.parametrize("kind", [PartnerKind.ASSOCIATION, PartnerKind.OPERATOR])
async def test_no_list_holds_what_is_another_partners(
    service: Service, pseb: Caller, officer: Caller, kind: PartnerKind
) -> None:
    stranger = await service.caller("other", kind, operator="ptcl" if kind == PartnerKind.OPERATOR else None)
    ids, private = await create_one_of_each(pseb, officer)
    del ids["held_id"]  # it is the list's own, and every partner is told that it waits
    for path, operations in service.app.openapi()["paths"].items():
        if "get" in operations and "{" not in path and path.startswith("/v1/"):
            answer = await stranger.get(path)
            for word in [*private, *ids.values()]:
                assert word not in answer.text, path


async def test_nothing_of_it_was_changed(service: Service, pseb: Caller, pasha: Caller, officer: Caller) -> None:
    ids, _ = await create_one_of_each(pseb, officer)
    reads = [f"/v1/applicants/{ids['applicant_id']}", f"/v1/registrations/{ids['registration_id']}"]
    before = [(await pseb.get(path)).json() for path in reads]
    held = (await officer.get("/v1/allowlist/held?released=false")).json()
    assert [each["id"] for each in held["items"]] == [ids["held_id"]]
    for method, path in routes(service):
        await ask(pasha, method, fill_in(path, ids))
    assert [(await pseb.get(path)).json() for path in reads] == before
    assert (await officer.get("/v1/allowlist/held?released=false")).json() == held

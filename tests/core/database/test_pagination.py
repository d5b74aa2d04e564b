"""Pages cover a list exactly once, and a cursor is valid only for its list."""

import base64
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.database.pagination import SIGNATURE_DIGITS, decode_cursor, encode_cursor
from app.core.errors import Invalid
from app.core.keyring import Keyring
from tests.support import cases
from tests.support.service import Caller, Service

KEYRING = Keyring("a secret of the tests that is long enough")


async def _applicants(caller: Caller, number: int) -> list[str]:
    made = [await caller.post("/v1/applicants", json=cases.company()) for _ in range(number)]
    return [answer.json()["id"] for answer in made]


def _refused_at_cursor(answer: httpx.Response) -> bool:
    return answer.status_code == 422 and cases.codes(answer) == {"/query/cursor": "invalid_value"}


async def test_a_cursor_that_was_altered_or_made_up_is_refused(pseb: Caller) -> None:
    await _applicants(pseb, 2)
    cursor = (await pseb.get("/v1/applicants?limit=1")).json()["next_cursor"]
    flipped = cursor[:-3] + ("A" if cursor[-3] != "A" else "B") + cursor[-2:]
    made_up = base64.urlsafe_b64encode(b"0" * SIGNATURE_DIGITS + b"not-a-key").decode()
    for altered in (flipped, cursor[:-4], cursor + "AAAA", made_up, "x", "é", "=", "%20", "null", "a" * 501, "%00"):
        assert _refused_at_cursor(await pseb.get(f"/v1/applicants?limit=1&cursor={altered}")), altered


async def test_a_cursor_of_another_list_or_service_is_refused(service: Service, pseb: Caller, admin: Caller) -> None:
    ids = await _applicants(pseb, 2)
    cursor = (await pseb.get("/v1/applicants?limit=1")).json()["next_cursor"]
    for path in ("/v1/registrations", "/v1/bulk-uploads", "/v1/review-decisions", "/v1/partners"):
        assert _refused_at_cursor(await admin.get(path, params={"cursor": cursor})), path
    foreign = encode_cursor(Keyring("the secret of quite another service"), "applicants", ids[0])
    assert _refused_at_cursor(await pseb.get("/v1/applicants", params={"cursor": foreign}))


async def test_a_limit_is_a_number_from_1_to_500(pseb: Caller) -> None:
    for limit in ("0", "501", "-1", "1.5", "x", "", "1e2", "99999999999999999999"):
        answer = await pseb.get("/v1/applicants", params={"limit": limit})
        assert (answer.status_code, cases.codes(answer)) == (422, {"/query/limit": "invalid_value"}), limit


async def test_an_unknown_parameter_is_refused_by_name(pseb: Caller) -> None:
    answer = await pseb.get("/v1/applicants?page=2&legal_nam=x")
    assert answer.status_code == 422
    assert cases.codes(answer) == {"/query/page": "invalid_value", "/query/legal_nam": "invalid_value"}


async def _walked(caller: Caller, limit: int) -> list[str]:
    path: str | None = f"/v1/applicants?limit={limit}"
    seen: list[str] = []
    while path:
        answer = await caller.get(path)
        body: dict[str, Any] = answer.json()
        assert 0 < len(body["items"]) <= limit
        seen += [item["id"] for item in body["items"]]
        path = answer.links.get("next", {}).get("url")
        cursor = parse_qs(urlsplit(path).query)["cursor"][0] if path else None
        assert cursor == body["next_cursor"]
    return seen


async def test_pages_cover_a_list_once_in_order_and_each_links_to_the_next(pseb: Caller) -> None:
    made = await _applicants(pseb, 6)
    for limit in (1, 2, 3, 5, 6, 7, 500):
        assert await _walked(pseb, limit) == made


async def test_what_is_added_while_a_list_is_read_moves_nothing(pseb: Caller) -> None:
    made = await _applicants(pseb, 2)
    first = (await pseb.get("/v1/applicants?limit=1")).json()
    made += await _applicants(pseb, 2)
    rest = (await pseb.get("/v1/applicants", params={"cursor": first["next_cursor"]})).json()
    assert [item["id"] for item in first["items"] + rest["items"]] == made
    assert rest["next_cursor"] is None


async def test_the_link_to_the_next_page_keeps_the_filters(pseb: Caller) -> None:
    await _applicants(pseb, 3)
    answer = await pseb.get("/v1/applicants?kind=company&limit=1")
    second = parse_qs(urlsplit(answer.links["next"]["url"]).query)
    assert (second["kind"], second["limit"]) == (["company"], ["1"])
    third = await pseb.get((await pseb.get(answer.links["next"]["url"])).links["next"]["url"])
    assert "next" not in third.links


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_no_text_is_a_cursor_but_the_one_that_was_made(text: str) -> None:
    with pytest.raises(Invalid):
        decode_cursor(KEYRING, "list", text)
    assert decode_cursor(KEYRING, "list", encode_cursor(KEYRING, "list", text)) == text
    with pytest.raises(Invalid):
        decode_cursor(KEYRING, "lists", encode_cursor(KEYRING, "list", text))

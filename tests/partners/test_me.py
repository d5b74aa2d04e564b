"""`GET /v1/me`."""

from app.partners.rules import PartnerKind, default_scopes
from tests.support import postgres
from tests.support.service import Caller, Service


async def test_nobody_is_told_who_it_is_without_a_token(service: Service) -> None:
    assert (await service.http.get("/v1/me")).status_code == 401


async def test_a_caller_learns_its_client_partner_scopes_and_limits(service: Service, nayatel: Caller) -> None:
    token = await service.token(nayatel.credentials, scope="events:read")
    answer = await Caller(service, nayatel.credentials, token).get("/v1/me")
    assert answer.status_code == 200
    body, made = answer.json(), nayatel.credentials
    assert body["scopes"] == ["events:read"]
    assert (body["client"]["id"], body["client"]["client_id"]) == (str(made.id), made.client_id)
    assert (body["client"]["name"], body["client"]["person"]) == ("nayatel", None)
    assert body["client"]["scopes"] == default_scopes(PartnerKind.OPERATOR)
    assert body["partner"] == {
        "id": str(made.partner_id), "name": "nayatel", "kind": "operator", "operator": "nayatel",
    }  # fmt: skip
    settings = service.settings
    assert body["limits"]["uploads"]["max_rows"] == settings.max_upload_rows
    rates = {each["name"]: (each["requests"], each["window"]) for each in body["limits"]["rates"]}
    assert rates.keys() == {"read", "write", "upload", "feed", "token"}
    assert rates["upload"] == (settings.rate_limit_upload, settings.rate_limit_window_seconds)


async def test_a_class_without_a_limit_is_absent(database_url: str) -> None:
    service = Service(postgres.settings_for(database_url, rate_limit_read=0))
    body = (await (await service.caller("pseb")).get("/v1/me")).json()
    assert "read" not in {each["name"] for each in body["limits"]["rates"]}
    await service.close()

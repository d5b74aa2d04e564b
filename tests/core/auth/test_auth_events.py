"""A failed authentication is logged with its method and client, and without what was sent."""

import json
from pathlib import Path

import httpx
import pytest
from prometheus_client import REGISTRY

from app.core.settings import Settings
from tests.core.http.test_access_log import _served
from tests.support.service import Caller, Service
from tests.support.signing import bearer, claims_of, form_of, signed

FEED, TOKEN = "/v1/allowlist", "/oauth/token"
GRANT = {"grant_type": "client_credentials"}
NOT_A_SECRET = "pasted-in-the-wrong-field"


def _counted(way: str) -> float:
    return REGISTRY.get_sample_value("login_failures_total", {"way": way}) or 0.0


async def test_an_attempt_is_logged_with_its_way_and_the_client_that_is_known(
    settings: Settings, service: Service, nayatel: Caller, tmp_path: Path
) -> None:
    known, log = nayatel.credentials, tmp_path / "log"
    wrong = (known.client_id, "not-" + known.client_secret)
    with _served(settings, log) as url:
        async with httpx.AsyncClient(base_url=url) as http:
            good = await http.post(TOKEN, data=GRANT, auth=(known.client_id, known.client_secret))
            failed = [
                await http.post(TOKEN, data=GRANT, auth=wrong),
                await http.post(TOKEN, data=GRANT, auth=(NOT_A_SECRET, known.client_secret)),
                await http.post(TOKEN, data=form_of(signed(claims_of(service, known.client_id)))),
                await http.get(FEED, auth=wrong),
                await http.get(FEED, headers=bearer(nayatel.token[:-5])),
            ]
    assert [each.status_code for each in (good, *failed)] == [200, *[401] * 5]
    written = log.read_text()
    assert [each for each in (known.client_secret, NOT_A_SECRET, nayatel.token[-40:-5]) if each in written] == []
    lines = [json.loads(line) for line in written.splitlines()]
    told = [(each["way"], each["client_id"]) for each in lines if each["event"] == "login failed"]
    its = str(known.id)
    assert told == [("secret", its), ("secret", None), ("assertion", its), ("basic", its), ("token", None)]
    (came,) = [each for each in lines if each.get("path") == TOKEN and each.get("status") == 200]
    assert (came["way"], came["client_id"]) == ("secret", its)


@pytest.mark.parametrize(("way", "path"), [("basic", FEED), ("token", "/v1/tracks")])
async def test_what_failed_is_counted_by_its_way(service: Service, way: str, path: str) -> None:
    before = _counted(way)
    headers = {"Authorization": "Basic eDp5" if way == "basic" else "Bearer x"}
    assert (await service.http.get(path, headers=headers)).status_code == 401
    assert _counted(way) == before + 1

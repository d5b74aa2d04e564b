"""A register without a mail server offers no mail."""

import pytest

from app.core.settings import Settings
from tests.support import cases, postgres
from tests.support.service import Caller, Service


@pytest.fixture
def settings(database_url: str) -> Settings:
    """Settings without a mail server."""
    return postgres.settings_for(database_url)


async def test_no_call_of_mail_is_there_and_the_status_page_does_not_lead_to_one(
    service: Service, pseb: Caller
) -> None:
    _, receipt = await cases.with_receipt(pseb)
    for path in ("/v1/standings/contact", "/v1/standings/contact/confirm"):
        answer = await service.http.post(path, json={"receipt": receipt, "code": "12345678"})
        assert (answer.status_code, answer.json()["code"]) in ((404, "mail_off"), (422, "invalid_value"))
    assert (await service.http.get("/status/mail")).status_code == 404
    assert "/status/mail" not in (await service.http.get("/status")).text

"""A process does not start with an invalid configuration of an identity provider."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from app.core.external_issuer import ExternalIssuer
from app.core.settings import Settings
from tests.support import postgres

SOUND: dict[str, Any] = {
    "issuer": "https://login.pta.example/realms/staff",
    "audience": "ip-register",
    "partner": "pta",
    "scopes": {"officers": ["reviews:read", "reviews:write"]},
}


def configured(*issuers: dict[str, Any]) -> Settings:
    return postgres.settings_for("postgresql://unused", external_issuers=json.dumps(issuers))


@pytest.mark.parametrize("name", SOUND)
def test_what_is_needed_is_needed(name: str) -> None:
    with pytest.raises(ValidationError, match=name):
        configured({key: value for key, value in SOUND.items() if key != name})


UNSOUND: list[dict[str, Any]] = [
    {"issuer": "login.pta.example"}, {"issuer": "http://login.pta.example"}, {"issuer": "https://u:p@login.example"},
    {"issuer": "https://login.pta.example?x=1"}, {"jwks_uri": "http://login.pta.example/keys"}, {"jwks_uri": "/keys"},
    {"audience": ""}, {"partner": ""}, {"scopes": {}}, {"scopes": {"officers": ["reviews:wrote"]}},
    {"scopes": {"officers": "reviews:read"}}, {"scope_claim": []}, {"scope_claim": ""}, {"subject_claim": ""},
    {"algorithms": ["HS256"]},
]  # fmt: skip


@pytest.mark.parametrize("change", UNSOUND, ids=range(len(UNSOUND)))
def test_what_is_unsound_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        configured({**SOUND, **change})


def test_an_issuer_is_listed_once_and_is_not_this_service() -> None:
    for issuers in ((SOUND, SOUND), ({**SOUND, "issuer": "http://127.0.0.1:8000", "internal": True},)):
        with pytest.raises(ValidationError, match="listed twice"):
            configured(*issuers)


@pytest.mark.parametrize("text", ["", "x", "{}", "[1]", "null"])
def test_what_is_no_list_of_issuers_is_refused_as_a_setting(text: str) -> None:
    with pytest.raises(ValidationError, match="external_issuers"):
        postgres.settings_for("postgresql://unused", external_issuers=text)


def test_without_the_setting_there_is_none() -> None:
    assert postgres.settings_for("postgresql://unused").external_issuers == ()


def test_the_places_of_an_issuer_are_those_of_its_own_addresses() -> None:
    issuer = ExternalIssuer.model_validate({**SOUND, "jwks_uri": "http://keys.inside:8080/jwks", "internal": True})
    assert issuer.hosts == ("login.pta.example:443", "keys.inside:8080")
    assert issuer.scope_claim == ("groups",)

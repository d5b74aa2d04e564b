"""Scopes of partners and of tokens."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.principal import SCOPES
from app.partners.rules import (
    ALLOWED,
    OF_OTHERS,
    PartnerKind,
    adds_keys,
    default_scopes,
    granted_scopes,
    mapped_scopes,
    refused_scopes,
)

SOME = st.lists(st.sampled_from(sorted(SCOPES)))


def test_only_the_regulator_may_decide_publish_or_administrate() -> None:
    for kind in (PartnerKind.ASSOCIATION, PartnerKind.OPERATOR):
        assert not ALLOWED[kind] & {"reviews:read", "reviews:write", "allowlist:publish", "partners:admin"}
    assert ALLOWED[PartnerKind.OPERATOR] == {
        "allowlist:read", "allowlist:confirm", "registrations:read", "disruptions:answer", "events:read",
        "webhooks:manage", "clients:manage",
    }  # fmt: skip


@settings(deadline=None)
@given(st.sampled_from(list(PartnerKind)), SOME)
def test_each_scope_beyond_the_kind_is_reported_by_its_index(kind: PartnerKind, scopes: list[str]) -> None:
    refused = {error.pointer for error in refused_scopes(kind, scopes)}
    assert refused == {f"/scopes/{place}" for place, scope in enumerate(scopes) if scope not in ALLOWED[kind]}


def test_a_refused_scope_is_named_with_the_kind_that_cannot_hold_it() -> None:
    (error,) = refused_scopes(PartnerKind.OPERATOR, ["events:read", "reviews:write"])
    assert "of kind operator cannot have the scope 'reviews:write'" in error.detail


@settings(deadline=None)
@given(SOME, SOME)
def test_a_token_has_only_requested_scopes_of_its_client(held: list[str], asked: list[str]) -> None:
    granted = granted_scopes(held, " ".join(asked))
    wanted = set(asked) or set(held)
    if granted is None:
        assert not wanted or not wanted <= set(held)
    else:
        assert granted == sorted(wanted)
        assert set(granted) <= set(held)


def test_default_scopes_are_all_of_the_kind_except_those_that_manage_clients() -> None:
    for kind, allowed in ALLOWED.items():
        unused = OF_OTHERS if kind == PartnerKind.REGULATOR else frozenset()
        assert default_scopes(kind) == sorted(allowed - unused - {"partners:admin", "clients:manage"})


def test_only_new_keys_count_as_added() -> None:
    one, other = {"kid": "1", "x": "a"}, {"kid": "1", "x": "b"}
    held = {"jwks": {"keys": [one, other]}, "jwks_uri": None}
    for keys in ([one], [other, one], []):
        assert not adds_keys(held, {"jwks": {"keys": keys}, "jwks_uri": None})
    assert adds_keys({"jwks": {"keys": [one]}, "jwks_uri": None}, {"jwks": {"keys": [other]}, "jwks_uri": None})
    assert adds_keys({"jwks": None, "jwks_uri": None}, held)
    assert adds_keys(held, {"jwks": None, "jwks_uri": "https://keys.example/"})
    published = {"jwks": None, "jwks_uri": "https://keys.example/"}
    assert not adds_keys(published, published)
    assert not adds_keys(published, {"jwks": None, "jwks_uri": None})


MAPPING = {"officers": ["reviews:read", "reviews:write"], "readers": ["allowlist:read"], "read all": ["events:read"]}


@pytest.mark.parametrize(
    ("claims", "path", "scopes"),
    [
        ({"roles": ["officers", "readers"]}, ["roles"], {"reviews:read", "reviews:write", "allowlist:read"}),
        ({"roles": ["officers", "unknown", 7, None]}, ["roles"], {"reviews:read", "reviews:write"}),
        ({"roles": "readers"}, ["roles"], {"allowlist:read"}),
        ({"roles": "officers readers"}, ["roles"], set()),
        ({"roles": "read all"}, ["roles"], {"events:read"}),
        ({"scope": "officers readers"}, ["scope"], {"reviews:read", "reviews:write", "allowlist:read"}),
        ({"scp": "readers unknown"}, ["scp"], {"allowlist:read"}),
        ({"scp": ["read all"]}, ["scp"], {"events:read"}),
        ({"realm_access": {"roles": ["readers"]}}, ["realm_access", "roles"], {"allowlist:read"}),
        ({"realm_access": {"scope": "readers officers"}}, ["scope", "realm_access"], set()),
        ({"realm_access": ["roles"]}, ["realm_access", "roles"], set()),
        ({"roles": {"readers": True}}, ["roles"], set()),
        ({}, ["realm_access", "roles"], set()),
        ({}, ["roles"], set()),
    ],
)
def test_an_external_token_gets_the_scopes_of_what_stands_at_the_path_in_its_claims(
    claims: dict[str, object], path: list[str], scopes: set[str]
) -> None:
    assert mapped_scopes(MAPPING, claims, path) == scopes

"""Scopes of partners and of tokens."""

from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.principal import SCOPES
from app.partners.rules import ALLOWED, PartnerKind, adds_keys, default_scopes, granted_scopes, refused_scopes

SOME = st.lists(st.sampled_from(sorted(SCOPES)))


def test_only_the_regulator_may_decide_publish_or_administrate() -> None:
    for kind in (PartnerKind.ASSOCIATION, PartnerKind.OPERATOR):
        assert not ALLOWED[kind] & {"reviews:read", "reviews:write", "allowlist:publish", "partners:admin"}
    assert ALLOWED[PartnerKind.OPERATOR] == {"allowlist:read", "registrations:read", "events:read", "webhooks:manage"}


@settings(deadline=None)
@given(st.sampled_from(list(PartnerKind)), SOME)
def test_each_scope_beyond_the_kind_is_reported_by_its_index(kind: PartnerKind, scopes: list[str]) -> None:
    refused = {error.pointer for error in refused_scopes(kind, scopes)}
    assert refused == {f"/scopes/{place}" for place, scope in enumerate(scopes) if scope not in ALLOWED[kind]}


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


def test_default_scopes_are_all_of_the_kind_except_partners_admin() -> None:
    for kind, allowed in ALLOWED.items():
        assert default_scopes(kind) == sorted(allowed - {"partners:admin"})


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

"""Which scopes a partner of each kind may hold, and which a token gets."""

from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.principal import SCOPES
from app.partners.rules import ALLOWED, PartnerKind, adds_keys, default_scopes, granted_scopes, refused_scopes

SOME = st.lists(st.sampled_from(sorted(SCOPES)))


def test_no_kind_but_the_regulator_may_decide_publish_or_administrate() -> None:
    for kind in (PartnerKind.ASSOCIATION, PartnerKind.OPERATOR):
        assert not ALLOWED[kind] & {"reviews:read", "reviews:write", "allowlist:publish", "partners:admin"}
    assert ALLOWED[PartnerKind.OPERATOR] == {"allowlist:read", "registrations:read", "events:read", "webhooks:manage"}


@settings(deadline=None)
@given(st.sampled_from(list(PartnerKind)), SOME)
def test_each_scope_beyond_the_kind_is_named_by_its_place(kind: PartnerKind, scopes: list[str]) -> None:
    refused = {error.pointer for error in refused_scopes(kind, scopes)}
    assert refused == {f"/scopes/{place}" for place, scope in enumerate(scopes) if scope not in ALLOWED[kind]}


@settings(deadline=None)
@given(SOME, SOME)
def test_a_token_never_gets_more_than_was_asked_for_or_is_held(held: list[str], asked: list[str]) -> None:
    granted = granted_scopes(held, " ".join(asked))
    wanted = set(asked) or set(held)
    if granted is None:
        assert not wanted or not wanted <= set(held)
    else:
        assert granted == sorted(wanted)
        assert set(granted) <= set(held)


def test_a_client_that_names_no_scopes_holds_all_of_its_kind_but_the_administrators() -> None:
    for kind, allowed in ALLOWED.items():
        assert default_scopes(kind) == sorted(allowed - {"partners:admin"})


def test_keys_that_a_client_has_already_are_not_added() -> None:
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

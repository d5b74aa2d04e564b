"""An identity provider of a partner's own, as the operator of the service configures it."""

from collections.abc import Sequence
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from app.core.principal import SCOPES

Url = Annotated[str, Field(pattern=r"^https?://[^/?#@\s]+(/[^?#\s]*)?$", max_length=2_000)]
PORTS = {"https": 443, "http": 80}


def _as_path(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class ExternalIssuer(BaseModel):
    """An OpenID provider whose access tokens are taken, and what their claims mean here.

    ``issuer`` and ``audience`` are compared exactly. Without ``jwks_uri`` the keys are found by discovery. A token
    acts for ``partner``, as the person in ``subject_claim``; ``scopes`` gives our scopes for each value of
    ``scope_claim``, which names a claim or, as a list, the way into one. A token is issued for ``max_token_seconds`` at
    most. Where ``acr`` or ``amr`` list values (OpenID Connect Core 1.0, 2), its holder signed in at one of these levels
    and by all of these methods. ``smallest_rsa`` is the length in bits of the shortest RSA key that is
    taken. ``internal`` lets the service ask hosts that are not public, and by plain http, for this issuer's keys only.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, str_min_length=1)

    issuer: Url
    audience: str
    partner: str
    scopes: dict[str, Sequence[str]] = Field(min_length=1)
    scope_claim: Annotated[tuple[str, ...], BeforeValidator(_as_path), Field(min_length=1)] = ("groups",)
    subject_claim: str = "sub"
    jwks_uri: Url | None = None
    max_token_seconds: int = Field(default=3_600, ge=1)
    acr: tuple[str, ...] = ()
    amr: tuple[str, ...] = ()
    smallest_rsa: int = Field(default=3072, ge=2048)
    internal: bool = False

    @property
    def places(self) -> tuple[str, ...]:
        """Host and port of its own addresses, for whoever may let them through."""
        parts = [urlsplit(url) for url in (self.issuer, self.jwks_uri) if url]
        return tuple(f"{each.hostname}:{each.port or PORTS[each.scheme]}" for each in parts)

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        unknown = {scope for scopes in self.scopes.values() for scope in scopes} - SCOPES.keys()
        if unknown:
            raise ValueError(f"there is no scope {', '.join(sorted(unknown))}")
        plain = [url for url in (self.issuer, self.jwks_uri) if url and url.startswith("http:")]
        if plain and not self.internal:
            raise ValueError("only an internal issuer may be asked by plain http")
        return self

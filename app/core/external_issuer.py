"""Configuration of a partner's identity provider, whose access tokens are accepted."""

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
    """An OpenID provider whose access tokens are accepted, and the mapping of their claims.

    ``issuer`` and ``audience`` are compared exactly. Without ``jwks_uri`` the keys are found by discovery. A token acts
    for ``partner``, as the person in ``subject_claim``. ``scopes`` maps values of ``scope_claim``, the name of a claim
    or the path to one, to scopes of this service. A token is valid for ``max_token_seconds`` at most. ``acr`` lists
    accepted levels, and ``amr`` the methods required (OpenID Connect Core 1.0, 2). ``smallest_rsa`` is the minimum
    length of RSA keys in bits. ``internal`` allows private addresses and plain http for the keys of this issuer.
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
    def hosts(self) -> tuple[str, ...]:
        """``host:port`` of its URLs, as ``OUTBOUND_ALLOWED`` lists them."""
        parts = [urlsplit(url) for url in (self.issuer, self.jwks_uri) if url]
        return tuple(f"{each.hostname}:{each.port or PORTS[each.scheme]}" for each in parts)

    @model_validator(mode="after")
    def _validate(self) -> Self:
        unknown = {scope for scopes in self.scopes.values() for scope in scopes} - SCOPES.keys()
        if unknown:
            raise ValueError(f"unknown scope {', '.join(sorted(unknown))}")
        insecure = [url for url in (self.issuer, self.jwks_uri) if url and url.startswith("http:")]
        if insecure and not self.internal:
            raise ValueError("only an internal issuer may have an http URL")
        return self

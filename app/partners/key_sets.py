"""JSON Web Key Sets (RFC 7517) of clients and issuers: validation, import, and decoding of what they signed."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, Key, OKPKey, RSAKey

from app.core.auth.signatures import Registry, public_half
from app.partners.errors import KeyUnusable, PrivateKeySent

SIGNING_ALGORITHMS = ("Ed25519", "EdDSA", "ES256", "PS256", "RS256")
MAX_KEYS = 10
MAX_CHARACTERS = 16_384
KID_LENGTH = 255
SMALLEST_RSA, LARGEST_RSA = 3072, 4096
RSA_EXPONENT_BITS = 32
PUBLIC_MEMBERS = ("kty", "kid", "use", "alg", "crv", "x", "y", "n", "e")
PRIVATE_MEMBERS = frozenset(("d", "p", "q", "dp", "dq", "qi", "oth", "k"))


def validate_key_set(jwks: Mapping[str, Any]) -> dict[str, Any]:
    """Return a key set with the public members of its keys alone, as it is stored.

    Raises ``PrivateKeySent`` and ``KeyUnusable``, which never repeat the input.
    """
    keys = jwks.get("keys")
    if not isinstance(keys, list) or not 1 <= len(keys) <= MAX_KEYS:
        raise KeyUnusable(f"A key set is an object whose member keys lists 1 to {MAX_KEYS} keys.")
    for position, jwk in enumerate(keys):
        try:
            _import_key(jwk)
        except KeyUnusable as wrong:
            raise KeyUnusable(f"Key {position} {wrong.detail}.") from None
        except PrivateKeySent:
            raise PrivateKeySent(f"Key {position} is symmetric or has private members.") from None
    if len({jwk["kid"] for jwk in keys}) < len(keys):
        raise KeyUnusable("Two keys have the same kid.")
    stored = {"keys": [_public_members(jwk) for jwk in keys]}
    if len(json.dumps(stored)) > MAX_CHARACTERS:
        raise KeyUnusable(f"The key set is longer than {MAX_CHARACTERS:,} characters.")
    return stored


def import_usable(jwks: Any, smallest_rsa: int = SMALLEST_RSA) -> dict[str, Key]:
    """Return the keys of a set by their ``kid``, without unusable ones (RFC 7517, section 5).

    RSA keys of fewer than ``smallest_rsa`` bits are unusable.
    """
    found: dict[str, Key] = {}
    keys = jwks.get("keys") if isinstance(jwks, dict) else None
    for jwk in keys if isinstance(keys, list) else []:
        try:
            found[jwk["kid"]] = _import_key(jwk, smallest_rsa)
        except (KeyUnusable, PrivateKeySent, KeyError, TypeError):
            continue
    return found


def decode(token: str, key: Key) -> jwt.Token:
    """Return header and claims of a token signed by ``key`` with an algorithm of that key. Raises ``JoseError``."""
    registry = Registry(algorithms=_algorithms(key), strict_check_header=False)
    return jwt.decode(token, key, registry=registry)


def _public_members(jwk: Mapping[str, Any]) -> dict[str, Any]:
    return {name: jwk[name] for name in PUBLIC_MEMBERS if name in jwk}


def _import_key(jwk: Any, smallest_rsa: int = SMALLEST_RSA) -> Key:
    """Import one key. Raises ``PrivateKeySent``, or ``KeyUnusable`` with a predicate as its detail."""
    if not isinstance(jwk, dict):
        raise KeyUnusable("is not an object")
    if PRIVATE_MEMBERS & jwk.keys():
        raise PrivateKeySent
    kid = jwk.get("kid")
    if not isinstance(kid, str) or not 1 <= len(kid) <= KID_LENGTH or not kid.isprintable():
        raise KeyUnusable(f"has no kid of 1 to {KID_LENGTH} printable characters")
    if jwk.get("use", "sig") != "sig":
        raise KeyUnusable("is not for signatures: its use is not sig")
    try:
        key = JWKRegistry.import_key(_public_members(jwk))
    except (JoseError, ValueError, KeyError, TypeError):
        raise KeyUnusable("cannot be read") from None
    if not _algorithms(key) or (isinstance(key, RSAKey) and not _is_acceptable_rsa(key, smallest_rsa)):
        bits = f"{smallest_rsa} to {LARGEST_RSA}"
        raise KeyUnusable(f"is neither Ed25519, P-256, nor RSA of {bits} bits, or names an algorithm of another")
    return public_half(key)


def _algorithms(key: Key) -> Sequence[str]:
    """Return the algorithms that a key may verify: those of its type, or its ``alg`` alone (RFC 7517, section 4.4)."""
    named = key.get("alg")
    match key:
        case OKPKey() if key.curve_name == "Ed25519" and named in (None, "Ed25519", "EdDSA"):
            return ("Ed25519", "EdDSA")
        case ECKey() if key.curve_name == "P-256" and named in (None, "ES256"):
            return ("ES256",)
        case RSAKey():
            return [name for name in ("PS256", "RS256") if named in (None, name)]
    return ()


def _is_acceptable_rsa(key: RSAKey, smallest: int) -> bool:
    public = key.public_key
    return smallest <= public.key_size <= LARGEST_RSA and public.public_numbers().e.bit_length() <= RSA_EXPONENT_BITS

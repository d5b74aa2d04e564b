"""Signatures of access tokens, manifests and checkpoints (RFC 7515): the algorithms, their keys and their names.

A signing key carries the name of its algorithm, which is written into the header of what it signs. ``Ed25519`` (RFC
9864) and ``EdDSA`` (RFC 8037) are two names of one algorithm.
"""

from copy import copy
from typing import get_args

from joserfc import jws
from joserfc.jwk import ECKey, JWKRegistry, Key, KeyParameters, KeySet, OKPKey
from joserfc.jws import JWSRegistry

from app.core.settings import SigningAlgorithm

ALGORITHM: SigningAlgorithm = "Ed25519"  # of a new key, unless ``SIGNING_ALGORITHM`` names another


_EDDSA = copy(JWSRegistry.algorithms["Ed25519"])
_EDDSA.name = "EdDSA"


class Registry(JWSRegistry):
    """Accepts EdDSA, which most libraries still write, for Ed25519 (RFC 9864)."""

    algorithms = {**JWSRegistry.algorithms, "EdDSA": _EDDSA}  # noqa: RUF012 - as in joserfc


# What any release signed, whatever the setting is now; the type of the key decides between them.
REGISTRY = Registry(algorithms=get_args(SigningAlgorithm))


def new_key(algorithm: SigningAlgorithm) -> Key:
    """Generate a key pair for an algorithm, with its RFC 7638 thumbprint as ``kid``."""
    parameters: KeyParameters = {"use": "sig", "alg": algorithm}
    if algorithm == "ES256":
        return ECKey.generate_key("P-256", parameters, auto_kid=True)
    return OKPKey.generate_key("Ed25519", parameters, auto_kid=True)


def algorithm_of(key: Key) -> str:
    """Return the algorithm that a signing key writes into headers."""
    return str(key.get("alg"))


def public_half(key: Key) -> Key:
    """Return the public half of a key; of an Ed25519 key without ``alg``.

    A library that knows one name of that algorithm refuses a key that has the other, and ``alg`` is optional (RFC 7517,
    section 4.4).
    """
    unnamed = ("alg",) if isinstance(key, OKPKey) else ()
    return JWKRegistry.import_key(
        {name: value for name, value in key.as_dict(private=False).items() if name not in unnamed}
    )


def sign(type_: str, payload: bytes, key: Key) -> str:
    """Sign a payload; returns a JWS in compact serialization whose header has ``type_`` as its ``typ``."""
    header = {"alg": algorithm_of(key), "kid": key.kid, "typ": type_}
    return jws.serialize_compact(header, payload, key, registry=REGISTRY)


def verify(signed: str, keys: KeySet) -> jws.CompactSignature:
    """Return the header and payload of what a key of ``keys`` signed. Raises ``JoseError`` or ``ValueError``."""
    return jws.deserialize_compact(signed, keys, registry=REGISTRY)

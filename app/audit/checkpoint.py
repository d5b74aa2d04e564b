"""Checkpoints: the size and root of the Merkle tree as a JWS (RFC 7515) that can be verified without the database."""

from datetime import datetime

from joserfc import jws
from joserfc.jwk import Key, KeySet
from pydantic import BaseModel

from app.audit.errors import VerificationFailed
from app.core.auth import signatures
from app.core.validation.schemas import Timestamp

TYPE = "audit-checkpoint"


class TreeHead(BaseModel):
    """The payload of a checkpoint: at ``time``, the log of ``issuer`` had ``size`` leaves and this ``root``, in hex."""

    issuer: str
    size: int
    root: str
    time: Timestamp


def sign(issuer: str, size: int, root: bytes, time: datetime, key: Key) -> str:
    """Sign a checkpoint; returns it in JWS compact serialization."""
    head = TreeHead(issuer=issuer, size=size, root=root.hex(), time=time)
    return signatures.sign(TYPE, head.model_dump_json().encode(), key)


def verify(signed: str, keys: KeySet) -> TreeHead:
    """Return the tree head of a checkpoint. Raises ``VerificationFailed`` unless a key of ``keys`` signed it as one."""
    try:
        token = signatures.verify(signed, keys)
        head = TreeHead.model_validate_json(token.payload)
    except Exception as error:
        raise VerificationFailed(f"The checkpoint is not signed by a key of this service: {error}") from error
    if token.headers().get("typ") != TYPE:
        raise VerificationFailed("The signed object is not a checkpoint.")
    return head


def check(signed: str, size: int, root: bytes, time: datetime, keys: KeySet) -> None:
    """Verify a checkpoint and compare it with this tree head. Raises ``VerificationFailed``."""
    try:
        head = verify(signed, keys)
    except VerificationFailed as error:
        raise VerificationFailed(f"Checkpoint of size {size}: {error}") from error
    if (head.size, head.root, head.time) != (size, root.hex(), time):
        raise VerificationFailed(f"The signed checkpoint of size {size} differs from what is recorded of it.")


def key_id(signed: str) -> str:
    """Return the id of the key that a checkpoint names, without verifying it."""
    return str(jws.extract_compact(signed.encode()).headers()["kid"])

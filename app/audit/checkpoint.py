"""A checkpoint: what the service signs of its tree, as a JWS (RFC 7515) that is checked without the database."""

from datetime import datetime

from joserfc import jws
from joserfc.jwk import KeySet, OKPKey
from pydantic import BaseModel

from app.audit.errors import Difference
from app.core.auth.bearer import ALGORITHM
from app.core.validation.schemas import Timestamp

TYPE = "audit-checkpoint"


class Statement(BaseModel):
    """What the signature is over: at ``time``, the log of ``issuer`` had ``size`` leaves and this ``root``, in hex."""

    issuer: str
    size: int
    root: str
    time: Timestamp


def sign(issuer: str, size: int, root: bytes, time: datetime, key: OKPKey) -> str:
    """A checkpoint in compact form."""
    statement = Statement(issuer=issuer, size=size, root=root.hex(), time=time)
    header = {"alg": ALGORITHM, "kid": key.kid, "typ": TYPE}
    return jws.serialize_compact(header, statement.model_dump_json().encode(), key, algorithms=[ALGORITHM])


def read(signed: str, keys: KeySet) -> Statement:
    """Read what a checkpoint says. Raises ``Difference`` when no key of ``keys`` signed it, or it is something else."""
    try:
        found = jws.deserialize_compact(signed, keys, algorithms=[ALGORITHM])
        statement = Statement.model_validate_json(found.payload)
    except Exception as wrong:
        raise Difference(f"The checkpoint is not signed by a key of this service: {wrong}") from wrong
    if found.headers().get("typ") != TYPE:
        raise Difference("What was signed is not a checkpoint.")
    return statement


def check(signed: str, size: int, root: bytes, time: datetime, keys: KeySet) -> None:
    """See that ``signed`` says that the tree of ``size`` leaves has this root. Raises ``Difference``."""
    try:
        statement = read(signed, keys)
    except Difference as wrong:
        raise Difference(f"Of size {size}: {wrong}") from wrong
    if (statement.size, statement.root, statement.time) != (size, root.hex(), time):
        raise Difference(f"The checkpoint of size {size} does not say what was signed.")


def signer_of(signed: str) -> str:
    """The id of the key that a checkpoint names."""
    return str(jws.extract_compact(signed.encode()).headers()["kid"])

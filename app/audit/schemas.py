"""Schemas of checkpoints and proofs. Hashes are SHA-256 in lower-case hexadecimal."""

from typing import Annotated
from uuid import UUID

from pydantic import ConfigDict, Field, field_validator

from app.audit.entry import Disclosure
from app.core.validation.schemas import Examples, Query, Resource, Timestamp

LARGEST_SIZE = 2**62
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 in lower-case hexadecimal")]
Size = Annotated[int, Field(ge=1, le=LARGEST_SIZE, description="The number of leaves of the tree")]

CHECKPOINT: Examples = {
    "size": 2,
    "root": "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "signed_at": "2026-11-21T09:30:02.000000Z",
    "signed": "eyJhbGciOiJFZDI1NTE5Iiwia2lkIjoi….eyJpc3N1ZXIiOiJodHRwczovL3JlZ2lzdGVyLmV4YW1wbGUucGsi….c2lnbmF0dXJl",
}
INCLUSION: Examples = {
    "event_id": "019b2f6e-7a10-7c3e-9d55-0b8d7f3e2a11",
    "position": 1,
    "leaf_hash": "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "entry": '{"actor_partner_id":null,"commitments":{"actor_client_id":"5f08…","remarks":"6b47…"},"details":{},…}',
    "disclosed": {"remarks": {"salt": "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b", "value": {}}},
    "path": ["6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"],
    "checkpoint": CHECKPOINT,
}
FIRST: Examples = {**CHECKPOINT, "size": 1, "root": INCLUSION["path"][0]}  # type: ignore[index]  # a list
CONSISTENCY: Examples = {"first": FIRST, "second": CHECKPOINT, "path": [INCLUSION["leaf_hash"]]}


class Checkpoint(Resource):
    """A signed tree: ``signed`` is a JWS (RFC 7515) whose payload has ``issuer``, ``size``, ``root`` and ``time``."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [CHECKPOINT]})

    size: Size
    root: Annotated[Hash, Field(description="The root of the tree (RFC 9162, 2.1.1)")]
    signed_at: Timestamp
    signed: str

    @field_validator("root", mode="before")
    @classmethod
    def _hexadecimal(cls, root: object) -> object:
        return root.hex() if isinstance(root, bytes) else root


class Inclusion(Resource):
    """A proof that an event is in the tree (RFC 9162, 2.1.3).

    ``leaf_hash`` is SHA-256 of a zero byte and ``entry`` in UTF-8. ``disclosed`` opens the commitments of the entry
    whose values the caller may see: each is SHA-256 of the canonical JSON (RFC 8785) of ``[salt, value]``. ``entry`` is
    null when the leaf is the hash of details that were erased since: only the hash is left.
    """

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [INCLUSION]})

    event_id: UUID
    position: Annotated[int, Field(ge=0, description="The position of the leaf, from 0")]
    leaf_hash: Hash
    entry: Annotated[str | None, Field(description="The event as canonical JSON (RFC 8785), to be hashed as it is")]
    disclosed: dict[str, Disclosure]
    path: Annotated[list[Hash], Field(description="The hashes that lead from the leaf to the root")]
    checkpoint: Checkpoint


class Consistency(Resource):
    """A proof that the second tree is the first with leaves appended, and nothing else changed (RFC 9162, 2.1.4)."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [CONSISTENCY]})

    first: Checkpoint
    second: Checkpoint
    path: Annotated[list[Hash], Field(description="The hashes that lead from the first root to the second")]


class CheckpointQuery(Query):
    """The size of a checkpoint."""

    size: Annotated[Size | None, Field(description="The size of the tree; absent: the newest")] = None


class InclusionQuery(CheckpointQuery):
    """An event, and the size of a checkpoint."""

    event_id: Annotated[UUID, Field(description="The `id` of an event of GET /v1/events")]


class ConsistencyQuery(Query):
    """The sizes of two checkpoints."""

    first: Annotated[Size, Field(description="The size of the smaller tree, which must have a checkpoint")]
    second: Annotated[Size | None, Field(description="The size of the larger tree; absent: the newest")] = None

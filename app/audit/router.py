"""Signed checkpoints of the event log, and proofs against them."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from app.audit import proofs, store
from app.audit.errors import NotInTree
from app.audit.schemas import Checkpoint, CheckpointQuery, Consistency, ConsistencyQuery, Inclusion, InclusionQuery
from app.core.auth.bearer import require
from app.core.http.authenticated_route import AuthenticatedRoute
from app.core.http.dependencies import Db
from app.core.http.problems import READS, documented
from app.core.http.responses import json_answer
from app.core.principal import Principal

router = APIRouter(prefix="/audit", tags=["audit"], route_class=AuthenticatedRoute)
Reader = Annotated[Principal, require("events:read")]


@router.get("/checkpoint", summary="Read a signed checkpoint", response_model=Checkpoint, responses=documented(*READS))
async def get_checkpoint(query: Annotated[CheckpointQuery, Query()], database: Db, principal: Reader) -> Response:
    """What the service signs of its event log: the size and root of the Merkle tree over it (RFC 9162).

    Keep one elsewhere: whatever of the log it covers can no longer be changed without that being shown.
    """
    async with database.transaction(principal, read_only=True) as tx:
        return json_answer(Checkpoint.model_validate(await store.checkpoint_of(tx, query.size)))


@router.get(
    "/inclusion",
    summary="Prove that an event is in the log",
    response_model=Inclusion,
    responses=documented(*READS, NotInTree),
)
async def get_inclusion(query: Annotated[InclusionQuery, Query()], database: Db, principal: Reader) -> Response:
    """The leaf of an event of the caller's business, and the hashes that lead from it to the root of a checkpoint.

    409 when the event was just recorded and has no leaf yet, or lies beyond the tree that was asked for.
    """
    async with database.transaction(principal, read_only=True) as tx:
        return json_answer(await proofs.inclusion(tx, principal, query))


@router.get(
    "/consistency",
    summary="Prove that the log was only added to",
    response_model=Consistency,
    responses=documented(*READS),
)
async def get_consistency(query: Annotated[ConsistencyQuery, Query()], database: Db, principal: Reader) -> Response:
    """The hashes that lead from the root of an earlier checkpoint to that of a later one.

    They prove that nothing that the earlier one covers was changed, taken away or put in between. Both sizes must be
    those of checkpoints.
    """
    async with database.transaction(principal, read_only=True) as tx:
        return json_answer(await proofs.consistency(tx, query))

"""Signed checkpoints of the event log, and inclusion and consistency proofs."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from app.audit import proofs, store
from app.audit.errors import NotInTree
from app.audit.schemas import Checkpoint, CheckpointQuery, Consistency, ConsistencyQuery, Inclusion, InclusionQuery
from app.core.auth.bearer import require
from app.core.http.authenticated_route import AuthenticatedRoute
from app.core.http.dependencies import Db
from app.core.http.problems import READS, problem_responses
from app.core.http.responses import json_response
from app.core.principal import Principal

router = APIRouter(prefix="/audit", tags=["audit"], route_class=AuthenticatedRoute)
Reader = Annotated[Principal, require("events:read")]


@router.get(
    "/checkpoint", summary="Read a signed checkpoint", response_model=Checkpoint, responses=problem_responses(*READS)
)
async def get_checkpoint(query: Annotated[CheckpointQuery, Query()], database: Db, principal: Reader) -> Response:
    """Returns the signed size and root of the Merkle tree over the event log (RFC 9162).

    Keep one elsewhere: no event that it covers can then be changed without being found out.
    """
    async with database.transaction(principal, read_only=True) as tx:
        return json_response(Checkpoint.model_validate(await store.get_checkpoint(tx, query.size)))


@router.get(
    "/inclusion",
    summary="Prove that an event is in the log",
    response_model=Inclusion,
    responses=problem_responses(*READS, NotInTree),
)
async def get_inclusion(query: Annotated[InclusionQuery, Query()], database: Db, principal: Reader) -> Response:
    """Returns the leaf of an event that the caller may read, and the hashes that lead from it to a checkpoint's root.

    409 when the event was just recorded and has no leaf yet, or is beyond the size that was asked for.
    """
    async with database.transaction(principal, read_only=True) as tx:
        return json_response(await proofs.prove_inclusion(tx, principal, query))


@router.get(
    "/consistency",
    summary="Prove that the log is append-only",
    response_model=Consistency,
    responses=problem_responses(*READS),
)
async def get_consistency(query: Annotated[ConsistencyQuery, Query()], database: Db, principal: Reader) -> Response:
    """Returns the hashes that lead from the root of an earlier checkpoint to that of a later one.

    They prove that no event that the earlier one covers was changed or removed, and none inserted before its end. Both
    sizes must be those of checkpoints.
    """
    async with database.transaction(principal, read_only=True) as tx:
        return json_response(await proofs.prove_consistency(tx, query))

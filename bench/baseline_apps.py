"""Baseline applications: minimal routes with the same queries and answers, without the rest of the service."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from fastapi import FastAPI
from pydantic import BaseModel
from pydantic_core import to_json
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bench.inserts import CASE, EVENT, NETWORK

COLUMNS = """SELECT id, partner_id, applicant_id, track, purpose, protocol, operator, subscriber_id,
    (SELECT array_agg(network::text ORDER BY position)
       FROM registration_networks WHERE registration_id = id) AS networks, reference,
    description, status, flags, reason_codes, note, legal_basis, claimed_by, bulk_upload_id,
    submitted_at, due_at, decided_at, expires_at, version, created_at, updated_at FROM registrations"""
ONE = f"{COLUMNS} WHERE id = $1"
PAGE = f"SELECT json_agg(shown)::text FROM ({COLUMNS} ORDER BY id LIMIT $1) AS shown"
FIELDS = json.loads(os.environ.get("FIELDS", "{}"))
LIST = Path(os.environ["LIST_FILE"]).read_bytes() if "LIST_FILE" in os.environ else b""

constant_app = FastAPI()


@constant_app.get("/constant")
async def constant() -> dict[str, bool]:
    """Return a constant."""
    return {"allowed": True}


@asynccontextmanager
async def _pool(app: Any) -> AsyncIterator[None]:
    async def keep_state(_: object) -> None:
        """Reset nothing when a connection is released, since the routes change no setting."""

    async with asyncpg.create_pool(os.environ["DATABASE_URL"], reset=keep_state) as pool:
        app.state.pool = pool
        yield


async def _hello(_: Request) -> Response:
    return PlainTextResponse("hello")


async def _unchanged(_: Request) -> Response:
    return Response(status_code=304, headers=FIELDS)


async def _list(_: Request) -> Response:
    return PlainTextResponse(LIST)


async def _one(request: Request) -> Response:
    row = await request.app.state.pool.fetchrow(ONE, UUID(request.path_params["id"]))
    return Response(to_json(dict(row)), media_type="application/json")


async def _page(request: Request) -> Response:
    page = await request.app.state.pool.fetchval(PAGE, int(request.query_params["limit"]))
    return Response(page, media_type="application/json")


queries_app = Starlette(
    routes=[
        Route("/hello", _hello),
        Route("/unchanged", _unchanged),
        Route("/list", _list),
        Route("/registrations", _page),
        Route("/registrations/{id}", _one),
    ],
    lifespan=_pool,
)


class Submission(BaseModel):
    """A registration, of which only the types are validated."""

    applicant_id: UUID
    track: str
    purpose: str
    protocol: str
    operator: str
    subscriber_id: str
    networks: list[str]
    reference: str
    description: str


INSERTS = (
    CASE.format(new="$1", partner="$2", applicant="$3", reference="$4"),
    NETWORK.format(case="$1", network="$2::text::cidr"),
    EVENT.format(case="$1", partner="$2"),
)
inserts_app = FastAPI(lifespan=_pool)
PARTNER = os.environ.get("PARTNER_ID", "")


@inserts_app.post("/registrations", status_code=201)
async def submit(request: Request, body: Submission) -> dict[str, Any]:
    """Insert a submission and commit, without any check."""
    id_ = uuid4()
    async with request.app.state.pool.acquire() as connection, connection.transaction():
        await connection.execute(INSERTS[0], id_, UUID(PARTNER), body.applicant_id, body.reference)
        await connection.execute(INSERTS[1], id_, f"{body.networks[0]}/32")
        await connection.execute(INSERTS[2], id_, UUID(PARTNER))
    return {"id": id_, **body.model_dump()}

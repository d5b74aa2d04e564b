"""The feed: lists made without cases, database links that can be cut, a server on a port."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import asyncpg
import uvicorn
from fastapi import FastAPI
from joserfc import jws
from prometheus_client import REGISTRY

from app.allowlist.snapshot import Snapshot
from app.core.auth.signatures import ALGORITHM
from app.partners import store as partners
from tests.support.service import Caller, Service

FEED = "/v1/allowlist"


def addresses(count: int, start: int = 0) -> list[str]:
    """Return ``count`` single addresses, in canonical order."""
    return [f"154.{192 + n // 65_536}.{n // 256 % 256}.{n % 256}/32" for n in range(start, start + count)]


def digest_of(networks: Iterable[str]) -> str:
    """SHA-256 of the canonical text, as the design words it: one CIDR per line, a line feed after each."""
    return hashlib.sha256("".join(f"{network}\n" for network in networks).encode()).hexdigest()


def snapshot_of(networks: Iterable[str], serial: int = 7) -> Snapshot:
    """A published list of these networks, which needs no database."""
    published_at = datetime(2026, 11, 1, tzinfo=UTC)
    return Snapshot(UUID(int=1), serial, published_at, [(network, serial) for network in networks])


def metric(name: str, **labels: str) -> float:
    """Return the value of a metric of this process."""
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def execute(service: Service, statement: str, *arguments: Any) -> None:
    """Run one statement without the service."""
    connection = await asyncpg.connect(service.settings.database_url)
    try:
        await connection.execute(statement, *arguments)
    finally:
        await connection.close()


async def granted(service: Service, networks: Iterable[str], *, in_mass: bool = False) -> None:
    """Insert entries as approvals leave them, without their cases."""
    statement = (
        "INSERT INTO allowlist_entries (network, registration_id, holder, granted_in_mass) "
        "SELECT unnest($1::text[])::cidr, gen_random_uuid(), 'company:1', $2"
    )
    await execute(service, statement, list(networks), in_mass)


async def withdrawn(service: Service, networks: Iterable[str], *, in_mass: bool = False) -> None:
    """Withdraw entries as revocations do."""
    statement = (
        "UPDATE allowlist_entries SET withdrawn_at = now(), withdrawn_reason = 'revoked', withdrawn_in_mass = $2 "
        "WHERE network = ANY($1::text[]::cidr[]) AND removed_serial IS NULL"
    )
    await execute(service, statement, list(networks), in_mass)


async def published(service: Service, *networks: str) -> int:
    """Put ``networks`` on the list, and return the serial."""
    await granted(service, networks)
    publication = await service.publish()
    assert publication is not None
    return publication.serial


async def long_history(service: Service, first: int, last: int, width: int = 300) -> None:
    """Insert the publications ``first`` to ``last`` as the publisher would have left them.

    At serial S the list is ``addresses(width, start=S)``: each publication adds a network and takes one away.
    """
    serials = list(range(first, last + 1))
    digests = [digest_of(addresses(width, start=serial)) for serial in (first - 1, *serials)]
    came, went = ([addresses(1, start=n + serial)[0] for serial in serials] for n in (width - 1, -1))
    connection = await asyncpg.connect(service.settings.database_url)
    try:
        async with connection.transaction():
            await connection.execute(
                "INSERT INTO allowlist_entries (network, registration_id, holder, added_serial) "
                "SELECT each::cidr, gen_random_uuid(), 'company:1', serial FROM unnest($1::text[], $2::int[]) "
                "AS change (each, serial)",
                came,
                serials,
            )
            await connection.execute(
                "UPDATE allowlist_entries SET withdrawn_at = now(), withdrawn_reason = 'expired', "
                "removed_serial = serial FROM unnest($1::text[], $2::int[]) AS change (each, serial) "
                "WHERE network = each::cidr AND removed_serial IS NULL",
                went,
                serials,
            )
            await connection.execute(
                "INSERT INTO publications (serial, count, added, removed, digest, previous_digest) "
                "SELECT serial, $4, 1, 1, digest, before FROM unnest($1::int[], $2::text[], $3::text[]) "
                "AS made (serial, digest, before)",
                serials,
                digests[1:],
                digests[:-1],
                width,
            )
    finally:
        await connection.close()


async def events(service: Service, name: str) -> list[dict[str, Any]]:
    """The details of the events of a name, oldest first."""
    connection = await asyncpg.connect(service.settings.database_url)
    try:
        rows = await connection.fetch("SELECT details FROM events WHERE name = $1 ORDER BY sequence", name)
    finally:
        await connection.close()
    return [json.loads(row["details"]) for row in rows]


async def listed(caller: Caller) -> dict[str, Any]:
    """The list as it is served now."""
    answer = await caller.get(FEED)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def manifest_of(caller: Caller) -> dict[str, Any]:
    """Return the content of the feed's manifest."""
    text = (await caller.get(f"{FEED}/manifest")).text
    said: dict[str, Any] = json.loads(jws.extract_compact(text.encode()).payload)
    return said


async def signed(service: Service, payload: dict[str, Any]) -> str:
    """Return a manifest of that content signed with the feed's own key."""
    async with service.database.transaction(read_only=True) as tx:
        key = await partners.signing_key(tx)
    header = {"alg": ALGORITHM, "kid": key.kid, "typ": "allowlist-manifest"}
    text = json.dumps(payload, default=lambda value: value.isoformat() if isinstance(value, datetime) else str(value))
    return jws.serialize_compact(header, text.encode(), key, algorithms=[ALGORITHM])


async def new_session(service: Service) -> UUID:
    """Give the feed a new session, as whoever restores a backup does."""
    connection = await asyncpg.connect(service.settings.database_url)
    try:
        made: UUID = await connection.fetchval(
            "UPDATE allowlist_feed SET session = gen_random_uuid() RETURNING session"
        )
    finally:
        await connection.close()
    return made


@asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[str]:
    """The application on a port of this machine, with its background tasks; gives its URL."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, ws="none", timeout_graceful_shutdown=2))
    running = asyncio.create_task(server.serve())
    while not server.started:
        assert not running.done(), running.result()
        await asyncio.sleep(0.01)
    host, port = server.servers[0].sockets[0].getsockname()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.should_exit = True
        await running


class Link:
    """A connection to the database that can be cut."""

    def __init__(self, database_url: str, directory: Path) -> None:
        there = urlsplit(database_url)
        self._server = f"{parse_qs(there.query)['host'][0]}/.s.PGSQL.5432"
        self._socket = directory / ".s.PGSQL.5432"
        self.url = f"postgresql://postgres:@{there.path}?host={directory}"
        self._listening: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()

    async def mend(self) -> None:
        """Let connections through."""
        self._listening = await asyncio.start_unix_server(self._relay, self._socket)

    async def cut(self) -> None:
        """Break every connection and let none through."""
        if self._listening:
            self._listening.close()
        self._socket.unlink(missing_ok=True)
        for end in self._ends:
            end.transport.abort()
        await asyncio.sleep(0.05)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(self._server)
        ends = {writer, back}
        self._ends |= ends
        await asyncio.gather(_pass_on(reader, back), _pass_on(there, writer))
        self._ends -= ends


async def _pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65_536):
            sink.write(data)
            await sink.drain()
    with suppress(OSError, RuntimeError):
        sink.close()

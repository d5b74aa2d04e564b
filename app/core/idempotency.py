"""``Idempotency-Key``: a repeated POST replays the first answer instead of doing the work again."""

import hashlib
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import Depends, FastAPI, Header, Request, Response
from sqlalchemy import Text, bindparam, delete, func, insert, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import WriteSession
from app.core.errors import IdempotencyConflict, RequestInProgress
from app.core.orm import Base, sealed_column
from app.core.principal import Principal

SEALED_BODY = "idempotency_keys.sealed_body"
KEPT_HEADERS = ("content-type", "etag", "location")


class IdempotencyKey(Base):
    """A key with the request that it stood for and the answer, sealed because it may hold a secret."""

    __tablename__ = "idempotency_keys"

    client_id: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str]
    status: Mapped[int]
    headers: Mapped[dict[str, str]] = mapped_column(JSONB)
    sealed_body: Mapped[bytes] = sealed_column()
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)


_TURN = select(func.pg_try_advisory_xact_lock(func.hashtextextended(bindparam("key", type_=Text), 0)))


class Replayed(Exception):
    """Carries the kept answer past the transaction, which is rolled back: a repeat changes nothing."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


class Once:
    """One request's ``Idempotency-Key``, claimed and kept in the transaction that does the work."""

    def __init__(self, request: Request, key: str | None) -> None:
        self._request = request
        self._key = key

    async def answer(
        self,
        session: WriteSession,
        principal: Principal,
        act: Callable[[], Awaitable[Response]],
        body_digest: str | None = None,
    ) -> Response:
        """The answer of ``act``, or the kept one when the key has come with this request before.

        ``body_digest`` stands for a body that was streamed. Raises ``IdempotencyConflict`` when the key came
        with another request and ``RequestInProgress`` while the first one is being worked on.
        """
        if self._key is None:
            return await act()
        if not await session.scalar(_TURN, {"key": f"{principal.client_id} {self._key}"}):
            raise RequestInProgress
        fingerprint = await self._fingerprint(session, body_digest)
        kept = await session.get(IdempotencyKey, (principal.client_id, self._key))
        if kept is not None:
            raise self._replay(session, kept, fingerprint)
        response = await act()
        await session.execute(
            insert(IdempotencyKey).values(
                client_id=principal.client_id,
                key=self._key,
                fingerprint=fingerprint,
                status=response.status_code,
                headers={name: response.headers[name] for name in KEPT_HEADERS if name in response.headers},
                sealed_body=session.keyring.seal(SEALED_BODY, bytes(response.body)),
            )
        )
        return response

    async def _fingerprint(self, session: WriteSession, body_digest: str | None) -> str:
        """What tells one request from another; keyed, since a body may hold a number that could be guessed."""
        body = body_digest or hashlib.sha256(await self._request.body()).hexdigest()
        url = self._request.url
        return session.keyring.keyed_hash("fingerprint", f"{self._request.method} {url.path}?{url.query}\n{body}")

    def _replay(self, session: WriteSession, kept: IdempotencyKey, fingerprint: str) -> Exception:
        if kept.fingerprint != fingerprint:
            return IdempotencyConflict()
        body = session.keyring.unseal(SEALED_BODY, kept.sealed_body)
        return Replayed(Response(body, kept.status, {**kept.headers, "Idempotency-Replayed": "true"}))


async def _once(
    request: Request,
    idempotency_key: Annotated[
        str | None,
        Header(
            description="A key of your choice; a repeat with the same key and body replays the first answer",
            pattern=r"^[\x21-\x7e]{1,255}$",
            examples=["4f1c2a9e-upload-2026-11"],
        ),
    ] = None,
) -> Once:
    return Once(request, idempotency_key)


Idempotent = Annotated[Once, Depends(_once)]


async def _on_replay(_: Request, replayed: Exception) -> Response:
    assert isinstance(replayed, Replayed)
    return replayed.response


def add_replay_handler(app: FastAPI) -> None:
    """Let ``app`` send kept answers."""
    app.add_exception_handler(Replayed, _on_replay)


async def forget_older_than(session: WriteSession, hours: int) -> None:
    """Drop the keys that were kept for ``hours``."""
    await session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < func.now() - timedelta(hours=hours)))

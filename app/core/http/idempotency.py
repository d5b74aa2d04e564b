"""``Idempotency-Key``: a repeated POST replays the first answer instead of doing the work again."""

import hashlib
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, NamedTuple
from uuid import UUID

from fastapi import Depends, FastAPI, Header, Request, Response
from pydantic_core import from_json
from sqlalchemy import Index, Integer, LargeBinary, Text, Uuid, bindparam, cast, delete, func, insert, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.base import Base, sealed_column
from app.core.database.batches import any_of, column_text, json_rows, rows_text, text_columns
from app.core.database.statement import Statement
from app.core.database.transaction import Transaction
from app.core.errors import DomainError, IdempotencyConflict, RequestInProgress
from app.core.keyring import Keyring
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


_LOCATION = IdempotencyKey.headers["location"].astext
Index("idempotency_keys_location_idx", _LOCATION)
_ASKED = text_columns({"key": Text}).subquery("asked")
_TURN = func.pg_try_advisory_xact_lock(func.hashtextextended(bindparam("client", type_=Text) + " " + _ASKED.c.key, 0))
_TURNS = Statement(select(_ASKED.c.key).where(_TURN))
_OF_CLIENT = IdempotencyKey.client_id == bindparam("client_id", type_=Uuid)
_ANSWER = (
    IdempotencyKey.key, IdempotencyKey.fingerprint, IdempotencyKey.status,
    cast(IdempotencyKey.headers, Text).label("headers"), IdempotencyKey.sealed_body,
)  # fmt: skip
_KEPT = Statement(select(*_ANSWER).where(_OF_CLIENT, any_of(IdempotencyKey.key, bindparam("keys"))))
_KEYS = {"client_id": Uuid, "key": Text, "fingerprint": Text, "status": Integer, "headers": JSONB,
         "sealed_body": LargeBinary}  # fmt: skip
_KEEPING = Statement(
    insert(IdempotencyKey).from_select(list(_KEYS), select(*json_rows("answers", _KEYS).c), include_defaults=False)
)


class Replayed(Exception):
    """Carries the kept answer past the transaction: a repeat changes nothing."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


class Once:
    """One request's ``Idempotency-Key``, if it has one: claimed and kept in the transaction that does the work."""

    def __init__(self, request: Request, key: str | None) -> None:
        self._request = request
        self._key = key

    async def answer(
        self,
        tx: Transaction,
        principal: Principal,
        act: Callable[[], Awaitable[Response]],
        body_digest: str | None = None,
    ) -> Response:
        """The answer of ``act``: ``answer_each`` of one request, whose refusal is raised."""

        async def act_on(_: Sequence[int]) -> list[Response]:
            return [await act()]

        asked = await self.asked(tx.keyring, body_digest)
        (answer,) = await answer_each(tx, principal, [asked], act_on)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def is_kept(self, tx: Transaction, principal: Principal) -> bool:
        """Whether an answer is kept under the request's key: then it is answered by it, and not by the state of now."""
        given = {"client_id": principal.client_id, "keys": [self._key]}
        return self._key is not None and bool(await tx.fetch(_KEPT, **given))

    async def asked(self, keyring: Keyring, body_digest: str | None = None) -> "Keyed":
        """Key and fingerprint of the request; ``body_digest`` stands for a body that was streamed.

        The fingerprint tells one request from another; it is keyed, since a body may hold what could be guessed.
        """
        if self._key is None:
            return Keyed(None, "")
        body = body_digest or hashlib.sha256(await self._request.body()).hexdigest()
        url = self._request.url
        text = f"{self._request.method} {url.path}?{url.query}\n{body}"
        return Keyed(self._key, keyring.keyed_hash("fingerprint", text))


class Keyed(NamedTuple):
    """The key that came with a request, or None, and what tells that request from another."""

    key: str | None
    fingerprint: str


# What became of requests: an answer, or why one is refused.
Answers = Sequence[Response | DomainError]


async def answer_each(
    tx: Transaction,
    principal: Principal,
    asked: Sequence[Keyed],
    act_on: Callable[[Sequence[int]], Awaitable[Answers]],
) -> list[Response | Exception]:
    """The answers of ``act_on`` to requests of one client, which it is given by their places, each done once.

    In the place of one that must not be done stands ``Replayed`` when its key has come with this request before,
    ``IdempotencyConflict`` when it came with another, and ``RequestInProgress`` while the first is being worked on.
    """
    settled = await _settled(tx, principal, asked)
    wanted = [place for place in range(len(asked)) if place not in settled]
    answers = dict(zip(wanted, await act_on(wanted), strict=True)) if wanted else {}
    done = [(asked[place], each) for place, each in answers.items() if isinstance(each, Response)]
    await _keep(tx, principal, [(keyed, each) for keyed, each in done if keyed.key is not None])
    return [settled.get(place) or answers[place] for place in range(len(asked))]


async def _settled(tx: Transaction, principal: Principal, asked: Sequence[Keyed]) -> dict[int, Exception]:
    """The requests that must not be done, by their places, and why."""
    keyed = [(place, key) for place, (key, _) in enumerate(asked) if key is not None]
    if not keyed:
        return {}
    first = {key: place for place, key in reversed(keyed)}
    held = {key for (key,) in await tx.fetch(_TURNS, client=str(principal.client_id), key=column_text(first))}
    kept = await tx.fetch(_KEPT, client_id=principal.client_id, keys=list(held))
    known = {first[each["key"]]: _replay(tx, each, asked[first[each["key"]]]) for each in kept}
    waiting = {place: RequestInProgress() for place, key in keyed if key not in held or place != first[key]}
    return {**known, **waiting}


def _replay(tx: Transaction, kept: Any, asked: Keyed) -> Exception:
    if kept["fingerprint"] != asked.fingerprint:
        return IdempotencyConflict()
    body = tx.keyring.unseal(SEALED_BODY, kept["sealed_body"])
    headers = from_json(kept["headers"])
    return Replayed(Response(body, kept["status"], {**headers, "Idempotency-Replayed": "true"}))


async def _keep(tx: Transaction, principal: Principal, answers: Sequence[tuple[Keyed, Response]]) -> None:
    if not answers:
        return
    rows = [
        {
            "client_id": principal.client_id,
            "key": keyed.key,
            "fingerprint": keyed.fingerprint,
            "status": answer.status_code,
            "headers": {name: answer.headers[name] for name in KEPT_HEADERS if name in answer.headers},
            "sealed_body": tx.keyring.seal(SEALED_BODY, bytes(answer.body)),
        }
        for keyed, answer in answers
    ]
    await tx.fetch(_KEEPING, answers=rows_text(rows))


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


async def forget_older_than(tx: Transaction, hours: int) -> None:
    """Drop the keys that were kept for ``hours``."""
    await tx.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < func.now() - timedelta(hours=hours)))


async def forget_answers_at(tx: Transaction, locations: Collection[str]) -> None:
    """Drop the kept answers that name one of these addresses as theirs: what they show is erased."""
    await tx.execute(delete(IdempotencyKey).where(any_of(_LOCATION, locations)))

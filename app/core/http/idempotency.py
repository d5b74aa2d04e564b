"""``Idempotency-Key``: a repeated POST replays the stored response instead of repeating the work."""

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
STORED_HEADERS = ("content-type", "etag", "location")


class IdempotencyKey(Base):
    """A key with the fingerprint of its request and the response, sealed because it may hold a secret."""

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
_SENT = text_columns({"key": Text}).subquery("sent")
_LOCKED = func.pg_try_advisory_xact_lock(func.hashtextextended(bindparam("client", type_=Text) + " " + _SENT.c.key, 0))
_LOCK = Statement(select(_SENT.c.key).where(_LOCKED))
_OF_CLIENT = IdempotencyKey.client_id == bindparam("client_id", type_=Uuid)
_RESPONSE = (
    IdempotencyKey.key, IdempotencyKey.fingerprint, IdempotencyKey.status,
    cast(IdempotencyKey.headers, Text).label("headers"), IdempotencyKey.sealed_body,
)  # fmt: skip
_FIND = Statement(select(*_RESPONSE).where(_OF_CLIENT, any_of(IdempotencyKey.key, bindparam("keys"))))
_COLUMNS = {"client_id": Uuid, "key": Text, "fingerprint": Text, "status": Integer, "headers": JSONB,
            "sealed_body": LargeBinary}  # fmt: skip
_STORE = Statement(
    insert(IdempotencyKey).from_select(
        list(_COLUMNS), select(*json_rows("responses", _COLUMNS).c), include_defaults=False
    )
)


class Replayed(Exception):
    """Carries a stored response past the transaction, since a repeat changes nothing."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


class KeyedRequest(NamedTuple):
    """The idempotency key of a request, or None, and its fingerprint."""

    key: str | None
    fingerprint: str


class IdempotentRequest:
    """A request that may have an ``Idempotency-Key``, used and stored in the transaction of its work."""

    def __init__(self, request: Request, key: str | None) -> None:
        self._request = request
        self._key = key

    async def respond(
        self,
        tx: Transaction,
        principal: Principal,
        act: Callable[[], Awaitable[Response]],
        body_digest: str | None = None,
    ) -> Response:
        """Return the response of ``act``, as ``respond_each`` does for one request, but raise its refusals."""

        async def act_on(_: Sequence[int]) -> list[Response]:
            return [await act()]

        keyed = await self.keyed(tx.keyring, body_digest)
        (response,) = await respond_each(tx, principal, [keyed], act_on)
        if isinstance(response, Exception):
            raise response
        return response

    async def is_repeat(self, tx: Transaction, principal: Principal) -> bool:
        """True when a response is stored under the key, which is replayed whatever the present state."""
        return self._key is not None and bool(await tx.fetch(_FIND, client_id=principal.client_id, keys=[self._key]))

    async def keyed(self, keyring: Keyring, body_digest: str | None = None) -> KeyedRequest:
        """Return the key and fingerprint of the request; ``body_digest`` is the SHA-256 of a streamed body.

        The fingerprint is a keyed hash, since a plain hash of a body could be guessed.
        """
        if self._key is None:
            return KeyedRequest(None, "")
        body = body_digest or hashlib.sha256(await self._request.body()).hexdigest()
        url = self._request.url
        text = f"{self._request.method} {url.path}?{url.query}\n{body}"
        return KeyedRequest(self._key, keyring.keyed_hash("fingerprint", text))


# A response to each request, or the refusal of one.
Responses = Sequence[Response | DomainError]


async def respond_each(
    tx: Transaction,
    principal: Principal,
    requests: Sequence[KeyedRequest],
    act_on: Callable[[Sequence[int]], Awaitable[Responses]],
) -> list[Response | Exception]:
    """Return the responses of ``act_on`` to requests of one client; it takes the places of those to be processed.

    The other requests get ``Replayed`` for a key that was already used with this request, ``IdempotencyConflict`` for
    one used with another request, and ``RequestInProgress`` while the first is being processed.
    """
    settled = await _repeats(tx, principal, requests)
    new = [place for place in range(len(requests)) if place not in settled]
    responses = dict(zip(new, await act_on(new), strict=True)) if new else {}
    done = [(requests[place], each) for place, each in responses.items() if isinstance(each, Response)]
    await _store(tx, principal, [(request, each) for request, each in done if request.key is not None])
    return [settled.get(place) or responses[place] for place in range(len(requests))]


async def _repeats(tx: Transaction, principal: Principal, requests: Sequence[KeyedRequest]) -> dict[int, Exception]:
    """Return the outcome of each request that must not be processed, by its place."""
    keyed = [(place, key) for place, (key, _) in enumerate(requests) if key is not None]
    if not keyed:
        return {}
    first = {key: place for place, key in reversed(keyed)}
    locked = {key for (key,) in await tx.fetch(_LOCK, client=str(principal.client_id), key=column_text(first))}
    stored = await tx.fetch(_FIND, client_id=principal.client_id, keys=list(locked))
    repeats = {first[each["key"]]: _replay(tx, each, requests[first[each["key"]]]) for each in stored}
    in_progress = {place: RequestInProgress() for place, key in keyed if key not in locked or place != first[key]}
    return {**repeats, **in_progress}


def _replay(tx: Transaction, stored: Any, request: KeyedRequest) -> Exception:
    if stored["fingerprint"] != request.fingerprint:
        return IdempotencyConflict()
    body = tx.keyring.unseal(SEALED_BODY, stored["sealed_body"])
    headers = from_json(stored["headers"])
    return Replayed(Response(body, stored["status"], {**headers, "Idempotency-Replayed": "true"}))


async def _store(tx: Transaction, principal: Principal, responses: Sequence[tuple[KeyedRequest, Response]]) -> None:
    if not responses:
        return
    rows = [
        {
            "client_id": principal.client_id,
            "key": request.key,
            "fingerprint": request.fingerprint,
            "status": response.status_code,
            "headers": {name: response.headers[name] for name in STORED_HEADERS if name in response.headers},
            "sealed_body": tx.keyring.seal(SEALED_BODY, bytes(response.body)),
        }
        for request, response in responses
    ]
    await tx.fetch(_STORE, responses=rows_text(rows))


async def _idempotent_request(
    request: Request,
    idempotency_key: Annotated[
        str | None,
        Header(
            description="A key of your choice; a repeat with the same key and body replays the first answer",
            pattern=r"^[\x21-\x7e]{1,255}$",
            examples=["4f1c2a9e-upload-2026-11"],
        ),
    ] = None,
) -> IdempotentRequest:
    return IdempotentRequest(request, idempotency_key)


Idempotency = Annotated[IdempotentRequest, Depends(_idempotent_request)]


async def _on_replay(_: Request, replayed: Exception) -> Response:
    assert isinstance(replayed, Replayed)
    return replayed.response


def add_replay_handler(app: FastAPI) -> None:
    """Let ``app`` send stored responses."""
    app.add_exception_handler(Replayed, _on_replay)


async def delete_older_than(tx: Transaction, hours: int) -> None:
    """Delete keys older than ``hours``."""
    await tx.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < func.now() - timedelta(hours=hours)))


async def delete_responses_at(tx: Transaction, locations: Collection[str]) -> None:
    """Delete stored responses whose ``Location`` is one of these, because the resource was erased."""
    await tx.execute(delete(IdempotencyKey).where(any_of(_LOCATION, locations)))

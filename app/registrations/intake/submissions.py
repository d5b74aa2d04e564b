"""Single submissions, taken in together: those of one client that wait are a batch of one transaction."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple
from uuid import UUID

from fastapi import Response

from app.core.database.batcher import Batcher
from app.core.database.engine import Database
from app.core.database.roles import INTAKE
from app.core.database.transaction import Transaction
from app.core.http.idempotency import IdempotentRequest, KeyedRequest, Replayed, Responses, respond_each
from app.core.http.responses import JsonResource, resource_answer
from app.core.principal import Principal
from app.registrations import store
from app.registrations.intake import service as intake
from app.registrations.intake.service import Registered
from app.registrations.rules import RegistrationRequest

MOST_TOGETHER = 64
MANY_CLIENTS = 1_000


class Submission(NamedTuple):
    """What a client asks for, and the key under which it does so once."""

    asked: RegistrationRequest
    keyed: KeyedRequest


class Submissions:
    """Takes a process's single submissions in."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._of_clients: dict[Principal, Batcher[Submission, Response | Exception]] = {}

    async def submit(
        self, principal: Principal, asked: RegistrationRequest, idempotency: IdempotentRequest
    ) -> Response:
        """The answer to a submission, which is committed. Raises ``NotFound`` for its applicant, ``Invalid``."""
        submission = Submission(asked, await idempotency.keyed(self._database.keyring))
        answer = await self._together(principal).process(submission)
        if isinstance(answer, Replayed):
            return answer.response
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _together(self, principal: Principal) -> Batcher[Submission, Response | Exception]:
        if principal not in self._of_clients:
            if len(self._of_clients) >= MANY_CLIENTS:
                self._of_clients = {whose: each for whose, each in self._of_clients.items() if not each.is_idle}
            self._of_clients[principal] = Batcher(partial(self._submit, principal), MOST_TOGETHER)
        return self._of_clients[principal]

    async def _submit(self, principal: Principal, waiting: Sequence[Submission]) -> list[Response | Exception]:
        async with self._database.transaction(principal, role=INTAKE, index_plans=True) as tx:

            async def act_on(places: Sequence[int]) -> Responses:
                return await _answers(tx, principal, [waiting[place].asked for place in places])

            return await respond_each(tx, principal, [each.keyed for each in waiting], act_on)


async def _answers(tx: Transaction, principal: Principal, asked: Sequence[RegistrationRequest]) -> Responses:
    outcomes = await intake.submit_each(tx, principal, asked)
    made = [each for each in outcomes if isinstance(each, Registered)]
    unknown = [each.registration_id for each in made if each.document is None]
    documents = await store.reread(tx, principal, unknown) if unknown else {}
    return [_answer(each, documents) if isinstance(each, Registered) else each for each in outcomes]


def _answer(made: Registered, documents: Mapping[UUID, tuple[int, str]]) -> Response:
    document = made.document or documents[made.registration_id]
    status = 201 if made.outcome == "created" else 200
    return resource_answer(JsonResource(*document), status, location=f"/v1/registrations/{made.registration_id}")

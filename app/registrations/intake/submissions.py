"""Group commit of single submissions: those of one client that wait are a batch of one transaction (ADR 0019)."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from fastapi import Response

from app.core.database.batcher import Batcher
from app.core.database.engine import Database
from app.core.database.roles import INTAKE
from app.core.database.transaction import Transaction
from app.core.http.idempotency import IdempotentRequest, KeyedRequest, Replayed, Responses, respond_each
from app.core.http.responses import JsonResource, resource_response
from app.core.principal import Principal
from app.registrations import store
from app.registrations.intake import service as intake
from app.registrations.intake.service import Registered
from app.registrations.receipts import FIRST_RECEIPT, receipt_of
from app.registrations.rules import RegistrationRequest

MAX_BATCH = 64
MAX_CLIENTS = 1_000


class Submission(NamedTuple):
    """A registration request with its ``Idempotency-Key``, if it has one."""

    request: RegistrationRequest
    keyed: KeyedRequest


class Submissions:
    """The submissions of one API process, with a batcher for each client."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._batchers: dict[Principal, Batcher[Submission, Response | Exception]] = {}

    async def submit(
        self, principal: Principal, request: RegistrationRequest, idempotency: IdempotentRequest
    ) -> Response:
        """Return the response to a submission once it is committed.

        Raises ``NotFound`` for the applicant, ``Invalid``, and the errors of ``respond_each``.
        """
        submission = Submission(request, await idempotency.keyed(self._database.keyring))
        answer = await self._batcher(principal).process(submission)
        if isinstance(answer, Replayed):
            return answer.response
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _batcher(self, principal: Principal) -> Batcher[Submission, Response | Exception]:
        if principal not in self._batchers:
            if len(self._batchers) >= MAX_CLIENTS:
                self._batchers = {client: each for client, each in self._batchers.items() if not each.is_idle}
            self._batchers[principal] = Batcher(partial(self._submit, principal), MAX_BATCH)
        return self._batchers[principal]

    async def _submit(self, principal: Principal, waiting: Sequence[Submission]) -> list[Response | Exception]:
        async with self._database.transaction(principal, role=INTAKE, index_plans=True) as tx:

            async def act_on(places: Sequence[int]) -> Responses:
                return await _answers(tx, principal, [waiting[place].request for place in places])

            return await respond_each(tx, principal, [each.keyed for each in waiting], act_on)


async def _answers(tx: Transaction, principal: Principal, requests: Sequence[RegistrationRequest]) -> Responses:
    batch = await intake.prepare(tx, principal, requests)
    submitted = await intake.submit(tx, principal, batch)
    outcomes = submitted.of_each(batch)
    new_cases = submitted.new_cases
    known = {each.registration_id for each in outcomes if isinstance(each, Registered)} - new_cases.keys()
    documents = {id_: JsonResource(each.version, each.document) for id_, each in new_cases.items()}
    if known:
        found = await store.read_many(tx, principal, known)
        documents |= {id_: JsonResource(*each) for id_, each in found.items()}

    def answer(made: Registered) -> Response:
        id_, is_new = made.registration_id, made.outcome == "created"
        resource = documents[id_]
        if is_new:
            receipt = receipt_of(tx.keyring, id_, new_cases[id_].case_number, FIRST_RECEIPT)
            resource = resource._replace(text=f'{resource.text[:-1]},"receipt":"{receipt}"}}')
        return resource_response(resource, 201 if is_new else 200, location=f"/v1/registrations/{id_}")

    return [answer(each) if isinstance(each, Registered) else each for each in outcomes]

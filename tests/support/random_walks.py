"""Random walks through the service: each call uses values of earlier responses."""

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import count
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.errors import Flaky
from schemathesis import Case
from schemathesis.core.failures import FailureGroup
from schemathesis.core.transport import Response
from schemathesis.schemas import BaseSchema

from tests.support import example_calls
from tests.support.example_calls import Operation

WALKS = 8
BOUNDS = settings(
    max_examples=3,
    stateful_step_count=12,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


class Calls:
    """Makes and validates calls, and counts the operations that answered with a 2xx."""

    def __init__(
        self,
        token_for: Callable[[Operation], str | None],
        known_to: Callable[[str], Mapping[str, Any]],
        checks: list[Any],
    ) -> None:
        self._token_for = token_for
        self.known_to = known_to
        self.checks = checks
        self.answered: Counter[str] = Counter()
        self.refused: dict[str, str] = {}
        self.failures: list[str] = []

    def headers_for(self, operation: Operation) -> dict[str, str]:
        """The credentials that the operation asks for."""
        token = self._token_for(operation)
        return {"Authorization": f"Bearer {token}"} if token else {}

    def note(self, case: Case[Operation], response: Response) -> None:
        """Record the outcome of a call."""
        name = example_calls.name_of(case.operation)
        if 200 <= response.status_code < 300:
            self.answered[name] += 1
        else:
            self.refused[name] = f"{response.status_code} {response.text[:300]}"

    def make_example_calls(self, schema: BaseSchema) -> None:
        """Call each operation once as the document shows it."""
        for found in schema.get_all_operations():
            operation = example_calls.readable(found)
            case = example_calls.call_of(operation, self.known_to(example_calls.name_of(operation)))
            headers = self.headers_for(operation)
            self.note(case, case.call_and_validate(headers=headers, checks=self.checks))


def walk(schema: BaseSchema, calls: Calls) -> None:
    """Follow responses with further calls, every second one with a valid body, within ``BOUNDS``."""

    class Walk(schema.as_state_machine()):  # type: ignore[misc]  # a class made of the document
        def setup(self) -> None:
            self.turns = count()

        def before_call(self, case: Case[Operation]) -> None:
            if next(self.turns) % 2 == 0:
                known = calls.known_to(example_calls.name_of(case.operation))
                shown = example_calls.call_of(case.operation, {**known, **case.path_parameters})
                case.query, case.body, case.media_type = shown.query, shown.body, shown.media_type
                case.headers.update(shown.headers)

        def get_call_kwargs(self, case: Case[Operation]) -> dict[str, Any]:
            return {"headers": calls.headers_for(case.operation)}

        def after_call(self, response: Response, case: Case[Operation]) -> None:
            super().after_call(response, case)
            calls.note(case, response)

        def validate_response(self, response: Response, case: Case[Operation], *_: Any, **__: Any) -> None:
            try:
                case.validate_response(response, checks=calls.checks)
            except FailureGroup as failure:
                calls.failures.append(str(failure))

    for number in range(WALKS):
        # a walk that repeats the beginning of another gets other answers, since the service has moved on
        with suppress(Flaky):
            seed(number)(Walk).run(settings=BOUNDS)

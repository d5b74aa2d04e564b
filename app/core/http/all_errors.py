"""All errors of a body at once: those of its form, and those that the register alone tells."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError

from app.core.database.roles import Role
from app.core.database.transaction import Transaction
from app.core.errors import FieldError, Invalid
from app.core.http.dependencies import database_of
from app.core.http.problems import field_errors
from app.core.http.strict_route import Handler
from app.core.principal import Principal

# Takes the body as it came and the errors of its form, and returns these with the register's.
FindErrors = Callable[[Transaction, Principal, dict[str, Any], Sequence[FieldError]], Awaitable[Sequence[FieldError]]]


def telling_all_errors(handle: Handler, find: FindErrors, role: Role | None = None) -> Handler:
    """Return ``handle`` of an authenticated operation; it adds what ``find`` says of an object refused for its form.

    ``role`` is that of the transaction of ``find``. Raises ``Invalid`` in place of ``RequestValidationError``.
    """

    async def handle_body(request: Request) -> Response:
        try:
            return await handle(request)
        except RequestValidationError as refused:
            if not isinstance(refused.body, dict):
                raise
            principal: Principal = request.scope["principal"]
            async with database_of(request).transaction(principal, role=role) as tx:
                errors = await find(tx, principal, refused.body, field_errors(refused))
            raise Invalid.of(errors) from None

    return handle_body

"""The call of an operation by its example in the document, with the ids of existing resources."""

from collections.abc import Mapping
from typing import Any

import schemathesis
from schemathesis import APIOperation, Case
from schemathesis.core.errors import InvalidSchema
from schemathesis.core.result import Err, Result

from app.partners.rules import ALLOWED, PartnerKind
from tests.support.service import Caller

Operation = APIOperation[Any, Any, Any, Any]


@schemathesis.deserializer("application/json")
def _read_json(_: Any, response: Any) -> Any:
    """JSON, and as text a JWT, whose media type schemathesis takes for JSON."""
    is_jwt = response.headers["content-type"][0].startswith("application/jwt")
    return response.content.decode() if is_jwt else response.json()


def readable(found: Result[Operation, InvalidSchema]) -> Operation:
    """An operation of the document. Raises ``InvalidSchema``."""
    if isinstance(found, Err):
        raise found.err()
    return found.ok()


def name_of(operation: Operation) -> str:
    """Its ``operationId``."""
    name: str = operation.definition.raw["operationId"]
    return name


def caller_of(described: Mapping[str, Any], pseb: Caller, nayatel: Caller, admin: Caller) -> Caller | None:
    """Return the caller that has the scopes of an operation; None where it takes no credentials."""
    ways = described.get("security", [])
    needed = {scope for each in ways for scopes in each.values() for scope in scopes}
    callers = {PartnerKind.ASSOCIATION: pseb, PartnerKind.OPERATOR: nayatel, PartnerKind.REGULATOR: admin}
    return next(callers[kind] for kind in callers if needed <= ALLOWED[kind]) if ways else None


def call_of(operation: Operation, known: Mapping[str, Any]) -> Case[Operation]:
    """Return the example call of the document, with the values in ``known`` by name of parameter or field.

    Only required query parameters are sent. ``known["body"]`` stands for the whole body.
    """
    needed = [each for each in operation.query if each.is_required]
    query = {each.name: known[each.name] if each.name in known else each.examples[0] for each in needed}
    headers = {each.name: known[each.name] for each in operation.headers if each.name in known}
    path = {each.name: known[each.name] for each in operation.path_parameters}
    if not operation.body:
        return operation.Case(path_parameters=path, query=query, headers=headers)
    sent = operation.body[0]
    body = known["body"] if "body" in known else replaced(sent.examples[0], known)
    return operation.Case(path_parameters=path, query=query, headers=headers, media_type=sent.media_type, body=body)


def replaced(value: Any, known: Mapping[str, Any]) -> Any:
    """Return an example with the fields named in ``known`` replaced, at any depth."""
    if not isinstance(value, dict):
        return value
    return {name: known[name] if name in known else replaced(inner, known) for name, inner in value.items()}

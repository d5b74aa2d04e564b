"""Errors of operator codes."""

from app.core.errors import FieldError, Invalid


class UnknownOperator(Invalid):
    """No operator has this code."""

    code = "unknown_operator"
    title = "There is no operator with this code"
    remedy = "GET /v1/operators lists the codes, such as ptcl or nayatel."


def unknown_operator(pointer: str, code: str) -> FieldError:
    """Return the error of a field or parameter that names no operator."""
    return UnknownOperator.at(pointer, f"There is no operator {code!r}. GET /v1/operators lists them.")

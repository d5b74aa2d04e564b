"""Errors of operator codes."""

from app.core.errors import Invalid


class UnknownOperator(Invalid):
    """No operator has this code."""

    code = "unknown_operator"
    title = "There is no operator with this code"
    remedy = "GET /v1/operators lists the codes, such as ptcl or nayatel."

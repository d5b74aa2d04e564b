"""What can go wrong with an operator's code."""

from app.core.errors import Invalid


class UnknownOperator(Invalid):
    """No operator has that code."""

    code = "unknown_operator"
    title = "There is no operator of that code"
    mend = "GET /v1/operators lists the codes, such as ptcl or nayatel."

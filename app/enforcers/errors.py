"""Errors of confirmations."""

from app.core.errors import Conflict


class EnforcerLimit(Conflict):
    """The operator has too many enforcers."""

    code = "enforcer_limit"
    title = "Too many enforcers"
    remedy = (
        "Confirm under the names that you used before: GET /v1/allowlist/enforcers lists them. One that is silent for "
        "30 days is forgotten."
    )

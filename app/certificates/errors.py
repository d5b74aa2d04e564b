"""Errors of certificates."""

from app.core.errors import Conflict


class NotInForce(Conflict):
    """The registration is not in force, so there is nothing to certify."""

    code = "not_in_force"
    title = "The registration is not in force"
    remedy = "Ask for the certificate of a registration that is approved or lapsed. Its status says what is missing."

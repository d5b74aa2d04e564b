"""Errors of mail."""

from app.core.errors import Invalid, NotFound


class MailOff(NotFound):
    """This register sends no mail, because it has no server for it."""

    code = "mail_off"
    title = "This register sends no mail"
    remedy = "Look the case up with its receipt at /status, or ask the association that registered you for notices."


class WrongCode(Invalid):
    """The code is wrong, was used, is older than an hour, or was tried five times. It is not said which."""

    code = "wrong_code"
    title = "The code is not valid"
    remedy = "Copy the eight digits from the newest mail, or ask for another code an hour after the last one."

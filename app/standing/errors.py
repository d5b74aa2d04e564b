"""Errors of receipts."""

from app.core.errors import NotFound


class UnknownReceipt(NotFound):
    """The receipt is malformed, of no case, or ended since a newer one was made. It is not said which."""

    code = "unknown_receipt"
    title = "There is no such receipt"
    remedy = (
        "Type the receipt again as it was given, such as PK-7H3KQ9-M2QXW8RT-5. If it was lost or replaced, ask the "
        "association that registered you for a new one: POST /v1/registrations/{id}/receipt."
    )

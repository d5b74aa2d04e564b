"""Texts for registrants, in English and Urdu: the English text is the key of its translation (GNU gettext)."""

from datetime import datetime, timedelta, timezone
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Literal

from babel import negotiate_locale
from babel.dates import format_datetime
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations

from app.registrations.rules import Status
from app.reviews.rules import HINTS, ReasonCode
from app.standing.rules import NextStep, Reason, State

Language = Literal["en", "ur"]
ENGLISH: Language = "en"
URDU: Language = "ur"
LANGUAGES: tuple[Language, ...] = (ENGLISH, URDU)
CATALOGUE = Path(__file__).parent / "locale" / "ur.po"
PAKISTAN = timezone(timedelta(hours=5))  # it has no other time in summer
MAX_RANGES = 20  # of an Accept-Language

STATES = {
    State.IN_FORCE: "In force",
    State.PENDING: "Not in force yet",
    State.NOT_IN_FORCE: "Not in force",
}
STATUSES = {
    Status.SUBMITTED: "Submitted",
    Status.IN_REVIEW: "In review",
    Status.INFORMATION_REQUESTED: "Sent back for information",
    Status.APPROVED: "Approved",
    Status.LAPSED: "Past its end, in its days of grace",
    Status.REJECTED: "Rejected",
    Status.SUSPENDED: "Suspended",
    Status.REVOKED: "Revoked",
    Status.EXPIRED: "Expired",
    Status.SUPERSEDED: "Replaced by a newer registration",
    Status.SURRENDERED: "Given back",
    Status.WITHDRAWN: "Withdrawn",
}
REASONS = {
    Reason.LISTED: "The addresses are on the list that internet providers let through.",
    Reason.UNDER_REVIEW: "The regulator has not decided yet.",
    Reason.INFORMATION_REQUESTED: "The regulator has sent the registration back for information.",
    Reason.NOT_PUBLISHED: "The registration is approved, and the addresses are not on the list yet.",
    Reason.NOT_SUBMITTED: "The registration had not been submitted.",
    Reason.REJECTED: "The regulator has rejected the registration.",
    Reason.WITHDRAWN: "The registration was withdrawn.",
    Reason.SUSPENDED: "The regulator has suspended the registration.",
    Reason.REVOKED: "The regulator has revoked the registration.",
    Reason.EXPIRED: "The approval has ended.",
    Reason.SUPERSEDED: "A newer registration has replaced this one.",
    Reason.SURRENDERED: "The addresses were given back.",
}
STEPS = {
    NextStep.NOTHING: "Nothing is to be done.",
    NextStep.WAIT: "Wait: nothing is needed from you.",
    NextStep.ASK: "Ask the association that registered you: the decision is overdue.",
    NextStep.ANSWER: "Give the association that registered you what the regulator has asked for.",
    NextStep.CORRECT: "Have the registration corrected and submitted again by the association that registered you.",
    NextStep.RESOLVE: "Ask the association that registered you for the reasons, and what ends the suspension.",
    NextStep.RENEW: "Ask the association that registered you to renew the registration.",
    NextStep.APPLY: "If you use the addresses, have them registered again.",
    NextStep.USE_SUCCESSOR: "Use the receipt of the newer registration.",
}
# Hints of decisions that speak of what a registrant does not see.
REASON_HINTS = {
    **HINTS,
    ReasonCode.DOCUMENT_MISSING: "A document is missing. The association that registered you knows which.",
    ReasonCode.PURPOSE_NOT_PERMITTED: "The purpose does not fit the kind of registration. Ask the association.",
    ReasonCode.OTHER: "The association that registered you has a note with the reason.",
}
OVERDUE = "A decision was due on {date}."
STILL_BLOCKED = "If the connection is blocked all the same, tell your association the address and since when."
NOT_LOADED = "Your internet provider has not loaded the newest list yet."
LAPSED = "The approval has ended. The addresses stay on the list until {date}, unless it is renewed."
RENEWABLE = "The approval ends on {date}. It can be renewed now."
SUSPENSION_ANNOUNCED = "A suspension is announced for {date}."
REVOCATION_ANNOUNCED = "A revocation is announced for {date}."
SOME_AWAITED = "Some of the addresses are not on the list yet. Ask with an address."
STAYING = "The addresses stay on the list until {date}."
LEAVING = "The addresses leave the list with its next change."
OTHER_ADDRESS = "The address is none of this registration. If yours has changed, have the new one registered."
ALL_HINTS = (
    OVERDUE, STILL_BLOCKED, NOT_LOADED, LAPSED, RENEWABLE, SUSPENSION_ANNOUNCED, REVOCATION_ANNOUNCED, SOME_AWAITED,
    STAYING, LEAVING, OTHER_ADDRESS,
)  # fmt: skip


def preferred_language(accept: str | None) -> Language:
    """Return the language of an ``Accept-Language`` (RFC 9110, 12.5.4); English when it names none of ours."""
    ranges = [_weighed(each) for each in (accept or "").split(",")[:MAX_RANGES]]
    wanted = sorted((each for each in ranges if each[1] > 0), key=lambda each: -each[1])
    found = negotiate_locale([name for name, _ in wanted if name], LANGUAGES, sep="-")
    return URDU if found and found.lower() == URDU else ENGLISH


def _weighed(language_range: str) -> tuple[str, float]:
    name, *parameters = (each.strip() for each in language_range.lower().split(";"))
    quality = next((each[2:] for each in parameters if each.startswith("q=")), "1")
    return name, float(quality) if quality.replace(".", "", 1).isdecimal() and quality.isascii() else 0.0


def translate(language: Language, text: str, **values: str) -> str:
    """Return an English text in a language, with its placeholders filled in."""
    found = text if language == ENGLISH else translations().gettext(text)
    return found.format(**values) if values else found


def format_date(language: Language, moment: datetime) -> str:
    """Return a time as people in Pakistan read it."""
    return format_datetime(moment, "d MMMM y, HH:mm", tzinfo=PAKISTAN, locale=language)


@cache
def translations() -> Translations:
    """Return the Urdu texts, compiled when the process first needs them."""
    compiled = BytesIO()
    with CATALOGUE.open("rb") as file:
        write_mo(compiled, read_po(file, locale=URDU))
    compiled.seek(0)
    return Translations(compiled)

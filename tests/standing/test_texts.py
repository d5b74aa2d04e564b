"""Every text for registrants is there in Urdu, with the same places to fill in."""

import re
from datetime import UTC, datetime

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po

from app.registrations.rules import Status
from app.reviews.rules import ReasonCode
from app.standing import status_page, texts
from app.standing.rules import NextStep, Reason, State
from app.standing.texts import ENGLISH, URDU, translate

ALL = (
    *texts.STATES.values(), *texts.STATUSES.values(), *texts.REASONS.values(), *texts.STEPS.values(),
    *texts.REASON_HINTS.values(), *texts.ALL_HINTS, *status_page.ALL_LABELS,
)  # fmt: skip
PLACE = re.compile(r"\{\w+\}")


def catalogue() -> Catalog:
    with texts.CATALOGUE.open("rb") as file:
        return read_po(file, locale=URDU)


def test_every_state_status_reason_and_step_has_a_text() -> None:
    assert set(texts.STATES) == set(State)
    assert set(texts.STATUSES) == set(Status)
    assert set(texts.REASONS) == set(Reason)
    assert set(texts.STEPS) == set(NextStep)
    assert set(texts.REASON_HINTS) == set(ReasonCode)


@pytest.mark.parametrize("text", sorted(set(ALL)))
def test_a_text_is_translated(text: str) -> None:
    message = catalogue().get(text)
    assert message is not None
    assert not message.fuzzy
    urdu = translate(URDU, text)
    assert urdu != text
    assert not re.search(r"[A-Za-z]", PLACE.sub("", urdu))
    assert PLACE.findall(urdu) == PLACE.findall(text)


def test_the_catalogue_has_no_text_that_is_not_used() -> None:
    assert {str(message.id) for message in catalogue() if message.id} == set(ALL)


def test_a_time_is_that_of_pakistan() -> None:
    moment = datetime(2026, 11, 21, 20, 30, tzinfo=UTC)
    assert texts.format_date(ENGLISH, moment) == "22 November 2026, 01:30"
    assert "نومبر" in texts.format_date(URDU, moment)

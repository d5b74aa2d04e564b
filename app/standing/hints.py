"""Hints for the registrant of a case, besides its next step. Pure functions of values."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial

from app.registrations.rules import LISTED, Status
from app.standing import texts
from app.standing.rules import Holding, RegisteredCase, Standing, State, is_overdue, is_renewable
from app.standing.texts import Language, format_date, translate


def hints_of(
    case: RegisteredCase,
    holdings: Sequence[Holding],
    found: Standing,
    moment: datetime,
    *,
    address_matches: bool | None,
    language: Language,
) -> Iterator[str]:
    """Yield hints about a case and its standing: of the last decision's reasons, then of what is due or comes."""
    say, date = partial(translate, language), partial(format_date, language)
    if case.status not in LISTED:
        yield from (say(texts.REASON_HINTS[code]) for code in texts.REASON_HINTS if code in case.reason_codes)
    if is_overdue(case, moment):
        yield say(texts.OVERDUE, date=date(case.due_at))
    if address_matches is False:
        yield say(texts.OTHER_ADDRESS)
    if case.notice:
        is_suspension = case.notice.action == "suspend"
        announced = texts.SUSPENSION_ANNOUNCED if is_suspension else texts.REVOCATION_ANNOUNCED
        yield say(announced, date=date(case.notice.effective_at))
    if found.state == State.IN_FORCE:
        yield from _hints_in_force(case, holdings, found, moment, language)


def _hints_in_force(
    case: RegisteredCase, holdings: Sequence[Holding], found: Standing, moment: datetime, language: Language
) -> Iterator[str]:
    say, date = partial(translate, language), partial(format_date, language)
    if case.status not in LISTED:
        yield say(texts.LEAVING)
        return
    if case.status == Status.LAPSED and case.ends_at:
        yield say(texts.LAPSED, date=date(case.ends_at))
    elif is_renewable(case, moment) and case.expires_at:
        yield say(texts.RENEWABLE, date=date(case.expires_at))
    if any(each.is_awaited(moment) for each in holdings):
        yield say(texts.SOME_AWAITED)
    yield say(texts.NOT_LOADED if found.in_step is False else texts.STILL_BLOCKED)

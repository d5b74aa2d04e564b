"""Hints for the registrant of a case, besides its next step. Pure functions of values."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial

from app.core.validation.networks import parse_canonical
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
    if found.until and found.until not in (case.ends_at, case.expires_at):  # the end of a hand-over
        yield say(texts.STAYING, date=date(found.until))
    if case.status == Status.LAPSED and case.ends_at:
        yield say(texts.LAPSED, date=date(case.ends_at))
    elif is_renewable(case, moment) and case.expires_at:
        yield say(texts.RENEWABLE, date=date(case.expires_at))
    if _has_uncovered(holdings, moment):
        yield say(texts.SOME_AWAITED)
    yield say(texts.NOT_LOADED if found.in_step is False else texts.STILL_BLOCKED)


def _has_uncovered(holdings: Sequence[Holding], moment: datetime) -> bool:
    """True when a network waits for the list and no wider one of the case, as in a hand-over, has its addresses."""
    listed = [parse_canonical(each.network) for each in holdings if each.is_listed(moment)]
    awaited = [parse_canonical(each.network) for each in holdings if each.is_awaited(moment)]
    return any(not any(wide.first <= each.first and each.last <= wide.last for wide in listed) for each in awaited)

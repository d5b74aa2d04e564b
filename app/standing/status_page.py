"""The page of standing for people: a form that works without a script, and the answer, in English and Urdu."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from fastapi.responses import HTMLResponse

from app.core.http.page import page
from app.core.http.public_path import public_path
from app.core.validation.schemas import format_rfc3339
from app.registrations.receipts import MAX_LENGTH
from app.registrations.rules import UNDER_REVIEW, Status
from app.registrations.schemas import RECEIPT
from app.standing import texts
from app.standing.rules import State
from app.standing.service import FoundStanding, resource_of
from app.standing.texts import ENGLISH, URDU, Language, format_date, translate

PATH = "/status"
# Colours are by the browser's light or dark scheme; those here have a contrast of 4.5 with their ground (WCAG 1.4.3).
STYLE = (
    "[lang=ur] body{line-height:2.3;font-family:'Noto Nastaliq Urdu','Jameel Noori Nastaleeq','Urdu Typesetting',serif}"
    "form{display:grid;gap:.3rem}bdi{font-family:ui-monospace,monospace}label{font-weight:700;margin-top:1rem}"
    "input{font:1.1rem/1.6 ui-monospace,monospace;padding:.6rem;width:100%;box-sizing:border-box;"
    "border:2px solid #767676;border-radius:.3rem}"
    "button{font:inherit;font-weight:600;padding:.7rem 1.4rem;margin-top:1.2rem;border:0;"
    "border-radius:.3rem;background:#0b5a2a;color:#fff;min-height:3rem}"
    ":focus-visible{outline:3px solid #1a73e8;outline-offset:2px}"
    ".error{border-inline-start:.4rem solid #b3261e;padding:.5rem 1rem;background:#b3261e22;margin:1rem 0}"
    ".answer{border-inline-start:.4rem solid #767676;padding:.5rem 1rem;margin:1rem 0}"
    ".in_force{border-color:#0b5a2a}.pending{border-color:#8a5a00}.not_in_force{border-color:#b3261e}"
    "h2:focus{outline:none}dt{font-weight:700}dd{margin:0 0 .6rem}.hint{font-size:.95em;margin:0}"
)
TITLE = "Is my registration in force?"
INTRODUCTION = "Type the receipt that you were given when your addresses were registered. No name is asked or shown."
RECEIPT_LABEL = "Receipt"
RECEIPT_HINT = "Such as {example}. Small letters and spaces do not matter."
ADDRESS_LABEL = "IP address (may be left out)"
ADDRESS_HINT = "To see whether it is one of the registration. Such as {example}."
CHECK = "Check"
ANOTHER = "Check again"
STATUS_LABEL = "Status"
SINCE, UNTIL, DUE, OPERATOR = "Since", "Until", "Decision due", "Internet provider"
ADDRESS_MATCHES = "The address is one of the registration."
NEXT_STEP = "What to do"
START = "Start page"
UNKNOWN = (
    "There is no such receipt. Compare each character. If it was replaced or lost, ask your association for a new one."
)
NO_RECEIPT = "Type the receipt."
WRONG_ADDRESS = "This is no IP address. Type one such as {example}, or leave it out."
TOO_MANY = "There were too many wrong receipts from your connection. Try again in a minute."
ALL_LABELS = (
    TITLE, INTRODUCTION, RECEIPT_LABEL, RECEIPT_HINT, ADDRESS_LABEL, ADDRESS_HINT, CHECK, ANOTHER, STATUS_LABEL, SINCE,
    UNTIL, DUE, OPERATOR, ADDRESS_MATCHES, NEXT_STEP, START, UNKNOWN, NO_RECEIPT, WRONG_ADDRESS, TOO_MANY,
)  # fmt: skip
EXAMPLE_ADDRESS = "203.99.50.5"
NAMES = {ENGLISH: "English", URDU: "اردو"}


@dataclass(frozen=True, slots=True)
class Mistake:
    """Texts of what is wrong with a form by its fields; the empty name is for the whole."""

    status: int
    errors: Mapping[str, str]
    headers: Mapping[str, str]


def form_page(
    language: Language, *, receipt: str = "", address: str = "", mistake: Mistake | None = None
) -> HTMLResponse:
    """Respond with the form, filled in as it was sent, and with what is wrong in it."""
    errors = mistake.errors if mistake else {}
    parts = [
        f"<p>{_text(language, INTRODUCTION)}</p>",
        *(_alert(_text(language, errors[name])) for name in errors if not name),
        *_form(language, {"receipt": receipt, "address": address}, errors, is_first=True),
    ]
    found = _page(language, parts)
    if mistake:
        found.status_code = mistake.status
        found.headers.update(mistake.headers)
    return found


def answer_page(language: Language, found: FoundStanding) -> HTMLResponse:
    """Respond with a standing, and the form for another; the receipt is not repeated."""
    told, case, standing = resource_of(found, language), found.case, found.standing
    facts = [(STATUS_LABEL, _text(language, texts.STATUSES[Status(case.status)]))]
    facts += [(SINCE, _date(language, standing.since))] if standing.since else []
    facts += [(UNTIL, _date(language, standing.until))] if standing.until and standing.state == State.IN_FORCE else []
    facts += [(DUE, _date(language, case.due_at))] if case.status in UNDER_REVIEW else []
    facts += [(OPERATOR, f'<bdi lang="en">{html.escape(case.operator)}</bdi>')]
    listed = "".join(f"<dt>{_text(language, name)}</dt><dd>{value}</dd>" for name, value in facts)
    hints = [_text(language, ADDRESS_MATCHES)] if found.address_matches else []
    hints += map(html.escape, told.hints)
    parts = [
        f'<section class="answer {standing.state}" aria-labelledby="answer">',
        f'<h2 id="answer" tabindex="-1" autofocus>{_text(language, texts.STATES[standing.state])}</h2>',
        f"<p>{_text(language, texts.REASONS[standing.reason])}</p><dl>{listed}</dl>",
        f"<h3>{_text(language, NEXT_STEP)}</h3><p>{html.escape(told.next_step)}</p>",
        f"<ul>{''.join(f'<li>{hint}</li>' for hint in hints)}</ul></section>" if hints else "</section>",
        f"<h2>{_text(language, ANOTHER)}</h2>",
        *_form(language, {"receipt": "", "address": ""}, {}, is_first=False),
    ]
    return _page(language, parts)


def _page(language: Language, parts: Sequence[str]) -> HTMLResponse:
    other = ENGLISH if language == URDU else URDU
    switch = f'<span lang="{other}">{NAMES[other]}</span>'
    navigation = {f"{PATH}?lang={other}": switch, "/": _text(language, START)}
    found = page(_text(language, TITLE), parts, language, navigation, STYLE)
    found.headers.update({"Cache-Control": "no-store", "Vary": "Accept-Language", "Content-Language": language})
    return found


def _form(language: Language, values: Mapping[str, str], errors: Mapping[str, str], *, is_first: bool) -> list[str]:
    focused = next((name for name in values if name in errors), "receipt" if is_first else "")
    fields = {
        "receipt": (
            RECEIPT_LABEL,
            RECEIPT_HINT,
            RECEIPT,
            f'autocapitalize="characters" maxlength="{MAX_LENGTH}" required',
        ),
        "address": (ADDRESS_LABEL, ADDRESS_HINT, EXAMPLE_ADDRESS, 'maxlength="60"'),
    }
    return [
        f'<form method="post" action="{public_path(PATH)}" novalidate>',
        f'<input type="hidden" name="lang" value="{language}">',
        *(
            _field(language, name, values[name], errors.get(name), described, has_focus=name == focused)
            for name, described in fields.items()
        ),
        f'<button type="submit">{_text(language, CHECK)}</button></form>',
    ]


def _field(
    language: Language,
    name: str,
    value: str,
    error: str | None,
    described: tuple[str, str, str, str],
    *,
    has_focus: bool,
) -> str:
    label, hint, example, attributes = described
    marks = f'{attributes} aria-describedby="{name}-hint{f" {name}-error" if error else ""}"'
    marks += ' aria-invalid="true"' if error else ""
    marks += " autofocus" if has_focus else ""
    shown = f'<bdi lang="en">{example}</bdi>'
    wrong = _text(language, error, example=shown) if error else ""
    alert = f'<p id="{name}-error" class="error" role="alert">{wrong}</p>' if error else ""
    return (
        f'<label for="{name}">{_text(language, label)}</label>'
        f'<p id="{name}-hint" class="hint">{_text(language, hint, example=shown)}</p>{alert}'
        f'<input id="{name}" name="{name}" dir="ltr" lang="en" value="{html.escape(value)}" autocomplete="off" '
        f'autocorrect="off" spellcheck="false" {marks}>'
    )


def _alert(text: str) -> str:
    return f'<p class="error" role="alert">{text}</p>'


def _text(language: Language, text: str, **values: str) -> str:
    """Return a text as HTML; ``values`` are HTML already."""
    found = html.escape(translate(language, text), quote=False)
    return found.format(**values) if "{" in found else found


def _date(language: Language, moment: datetime) -> str:
    return f'<time datetime="{format_rfc3339(moment)}">{html.escape(format_date(language, moment))}</time>'

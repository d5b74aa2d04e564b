"""Texts of the mails: each kind in each language, with all that a reader needs and nothing of the case."""

from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest

from app.mail.rules import MailKind
from app.mail.texts import FRAMES, LANGUAGES, TEXTS, Content, compose


def mail(content: Content, language: str) -> EmailMessage:
    composed = compose(
        content,
        language,
        sender="IP register <noreply@register.example>",
        to="it@indus.example.pk",
        public_url="https://register.example/ip",
        stop_path="/mail/stop/T",
    )
    received = message_from_bytes(composed.as_bytes(), policy=policy.default)
    assert isinstance(received, EmailMessage)
    return received


def test_every_kind_has_its_text_in_every_language() -> None:
    assert [set(TEXTS[language]) for language in LANGUAGES] == [set(MailKind)] * len(LANGUAGES)
    assert set(FRAMES) == set(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", MailKind)
def test_each_mail_tells_where_to_look_and_how_to_stop(kind: MailKind, language: str) -> None:
    code = "12345678" if kind is MailKind.CODE else None
    received = mail(Content(kind, code=code), language)
    content = received.get_content()
    assert "https://register.example/ip/status" in content
    assert "https://register.example/ip/mail/stop/T" in content
    assert not {"None", "{", "}"} & set(content.split())
    assert (received["Content-Language"], received["Auto-Submitted"]) == (language, "auto-generated")
    assert received["Subject"] == TEXTS[language][kind].subject
    assert (code or "") in content


def test_a_date_is_told_in_the_order_of_year_month_and_day() -> None:
    content = Content(MailKind.EXPIRING, date=datetime(2027, 3, 4, 23, 0, tzinfo=UTC))
    assert "ends on 2027-03-04." in mail(content, "en").get_content()


def test_no_header_is_broken_by_a_line_end() -> None:
    with pytest.raises(ValueError, match="Header values may not contain"):
        compose(
            Content(MailKind.LAPSED), "en", sender="r@x.example\nBcc: a@b.example", to="", public_url="", stop_path=""
        )

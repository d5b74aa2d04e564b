"""Texts of the mails, in English and Urdu. They name no address, no number and no person."""

from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import NamedTuple

from app.mail.rules import MailKind

LANGUAGES = ("en", "ur")


class Text(NamedTuple):
    """Subject and first paragraph of a kind of mail; ``{date}`` and ``{code}`` are filled in."""

    subject: str
    body: str


class Frame(NamedTuple):
    """The parts of every mail in a language."""

    several: str
    no_date: str
    look_up: str
    stop: str


TEXTS: dict[str, dict[MailKind, Text]] = {
    "en": {
        MailKind.CODE: Text(
            "Your code for the IP register",
            "Your code is {code}. Enter it on the status page within an hour. If you did not ask for it, do nothing.",
        ),
        MailKind.EXPIRING: Text(
            "A registration of yours ends soon",
            "The approval of a registration ends on {date}. Ask whoever registered it for you to renew it.",
        ),
        MailKind.LAPSED: Text(
            "The approval of a registration has ended",
            "The approval of a registration has ended. It stays on the list for a short time. "
            "Ask whoever registered it for you to renew it now.",
        ),
        MailKind.EXPIRED: Text(
            "A registration is no longer on the list",
            "A registration has ended and is no longer on the list. Ask whoever registered it for you to renew it.",
        ),
        MailKind.EXTENDED: Text(
            "A registration of yours was extended",
            "The approval of a registration was extended to {date}. You need to do nothing.",
        ),
        MailKind.NOTICE_GIVEN: Text(
            "Notice about a registration of yours",
            "The regulator will take a registration off the list on {date}. The status page says why and what to do.",
        ),
        MailKind.NOTICE_CANCELLED: Text(
            "A notice about your registration was cancelled",
            "The regulator has cancelled its notice. The registration stays on the list.",
        ),
        MailKind.SUSPENDED: Text(
            "A registration of yours is suspended",
            "The regulator has suspended a registration. The status page says why and what to do.",
        ),
        MailKind.REVOKED: Text(
            "A registration of yours is revoked",
            "The regulator has revoked a registration. The status page says why and what to do.",
        ),
    },
    "ur": {
        MailKind.CODE: Text(
            "آئی پی رجسٹر کے لیے آپ کا کوڈ",
            "آپ کا کوڈ {code} ہے۔ اسے ایک گھنٹے کے اندر اسٹیٹس کے صفحے پر لکھیں۔ اگر آپ نے نہیں مانگا تو کچھ نہ کریں۔",
        ),
        MailKind.EXPIRING: Text(
            "آپ کی ایک رجسٹریشن جلد ختم ہو رہی ہے",
            "ایک رجسٹریشن کی منظوری {date} کو ختم ہو جائے گی۔ جس نے آپ کے لیے رجسٹر کیا تھا اُس سے تجدید کروائیں۔",
        ),
        MailKind.LAPSED: Text(
            "ایک رجسٹریشن کی منظوری ختم ہو گئی ہے",
            "ایک رجسٹریشن کی منظوری ختم ہو گئی ہے۔ وہ تھوڑی مدت کے لیے فہرست میں رہے گی۔ ابھی تجدید کروائیں۔",
        ),
        MailKind.EXPIRED: Text(
            "ایک رجسٹریشن اب فہرست میں نہیں",
            "ایک رجسٹریشن ختم ہو گئی ہے اور اب فہرست میں نہیں۔ جس نے آپ کے لیے رجسٹر کیا تھا اُس سے تجدید کروائیں۔",
        ),
        MailKind.EXTENDED: Text(
            "آپ کی ایک رجسٹریشن کی مدت بڑھا دی گئی",
            "ایک رجسٹریشن کی منظوری {date} تک بڑھا دی گئی ہے۔ آپ کو کچھ کرنے کی ضرورت نہیں۔",
        ),
        MailKind.NOTICE_GIVEN: Text(
            "آپ کی ایک رجسٹریشن کے بارے میں نوٹس",
            "ریگولیٹر {date} کو ایک رجسٹریشن فہرست سے ہٹا دے گا۔ وجہ اور حل اسٹیٹس کے صفحے پر ہیں۔",
        ),
        MailKind.NOTICE_CANCELLED: Text(
            "آپ کی رجسٹریشن کا نوٹس واپس لے لیا گیا",
            "ریگولیٹر نے اپنا نوٹس واپس لے لیا ہے۔ رجسٹریشن فہرست میں رہے گی۔",
        ),
        MailKind.SUSPENDED: Text(
            "آپ کی ایک رجسٹریشن معطل ہے",
            "ریگولیٹر نے ایک رجسٹریشن معطل کر دی ہے۔ وجہ اور حل اسٹیٹس کے صفحے پر ہیں۔",
        ),
        MailKind.REVOKED: Text(
            "آپ کی ایک رجسٹریشن منسوخ ہے",
            "ریگولیٹر نے ایک رجسٹریشن منسوخ کر دی ہے۔ وجہ اور حل اسٹیٹس کے صفحے پر ہیں۔",
        ),
    },
}
FRAMES = {
    "en": Frame(
        "This concerns {count} of your registrations.",
        "a date that the status page tells",
        "Look it up with your receipt: {status}",
        "To get no more mail about your registrations: {stop}",
    ),
    "ur": Frame(
        "یہ آپ کی {count} رجسٹریشنوں کے بارے میں ہے۔",
        "اسٹیٹس کے صفحے پر دی گئی تاریخ",
        "اپنی رسید سے دیکھیں: {status}",
        "مزید ای میل نہ پانے کے لیے: {stop}",
    ),
}


class Content(NamedTuple):
    """All that a mail says: its kind, the number of cases, a date or None, and the code of a ``MailKind.CODE``."""

    kind: MailKind
    cases: int = 1
    date: datetime | None = None
    code: str | None = None


def compose(content: Content, language: str, *, sender: str, to: str, public_url: str, stop_path: str) -> EmailMessage:
    """Compose a mail in a language of ``LANGUAGES``, with the one-click link to stop of RFC 8058.

    ``Auto-Submitted`` (RFC 3834) keeps out-of-office replies away.
    """
    text, frame = TEXTS[language][content.kind], FRAMES[language]
    stop = public_url + stop_path
    date = f"{content.date:%Y-%m-%d}" if content.date else frame.no_date
    lines = [text.body.format(date=date, code=content.code)]
    lines += [frame.several.format(count=content.cases)] if content.cases > 1 else []
    lines += [frame.look_up.format(status=f"{public_url}/status"), frame.stop.format(stop=stop)]
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, to, text.subject
    message["Date"] = format_datetime(datetime.now().astimezone())
    message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2].strip("> "))
    message["Auto-Submitted"] = "auto-generated"
    message["List-Unsubscribe"] = f"<{stop}>"
    message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message.set_content("\n\n".join(lines) + "\n")
    message["Content-Language"] = language  # set_content takes headers of content away
    return message

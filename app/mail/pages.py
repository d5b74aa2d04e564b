"""The pages of mail: asking for notices by a receipt, confirming the address, and stopping; English and Urdu."""

import html
from collections.abc import Sequence
from typing import NamedTuple

from fastapi.responses import HTMLResponse

from app.core.http.page import page
from app.core.http.public_path import public_path
from app.registrations.receipts import MAX_LENGTH
from app.registrations.schemas import RECEIPT
from app.standing.status_page import STYLE
from app.standing.texts import ENGLISH, URDU, Language

PATH = "/status/mail"


class Labels(NamedTuple):
    """All texts of the pages in one language."""

    title: str
    introduction: str
    receipt: str
    receipt_hint: str
    ask: str
    asked: str
    code: str
    code_hint: str
    confirm: str
    verified: str
    wrong_code: str
    unknown_receipt: str
    too_many: str
    stop_title: str
    stop_question: str
    stop: str
    stopped: str
    no_link: str
    status: str
    other_language: str


LABELS: dict[Language, Labels] = {
    ENGLISH: Labels(
        title="Notices by e-mail",
        introduction="You get a mail before an approval ends, and when anything is announced or done. A code goes to "
        "the address that was given when your addresses were registered, at most once an hour.",
        receipt="Receipt",
        receipt_hint="Such as {example}.",
        ask="Send a code",
        asked="If an address is on record, a code is on its way. Enter it here within an hour.",
        code="Code",
        code_hint="The eight digits from the mail.",
        confirm="Confirm",
        verified="The address is confirmed. Notices go there from now on; each mail has a link that stops them.",
        wrong_code="The code is not valid. Copy the eight digits from the newest mail, or ask again in an hour.",
        unknown_receipt="There is no such receipt. Compare each character.",
        too_many="There were too many wrong entries from your connection. Try again in a minute.",
        stop_title="Stop the mail",
        stop_question="Do you want no more mail about your registrations?",
        stop="Stop the mail",
        stopped="You will get no more mail about your registrations. Your registrations are not changed.",
        no_link="This link does not stop any mail. Use the link of the newest mail.",
        status="Is my registration in force?",
        other_language="اردو",
    ),
    URDU: Labels(
        title="ای میل کے ذریعے اطلاعات",
        introduction="منظوری ختم ہونے سے پہلے، اور جب کوئی اعلان یا فیصلہ ہو، آپ کو ای میل ملے گی۔ کوڈ اُس پتے پر "
        "جاتا ہے جو رجسٹریشن کے وقت دیا گیا تھا، ایک گھنٹے میں زیادہ سے زیادہ ایک بار۔",
        receipt="رسید",
        receipt_hint="مثلاً {example}",
        ask="کوڈ بھیجیں",
        asked="اگر کوئی ای میل درج ہے تو کوڈ بھیجا جا رہا ہے۔ ایک گھنٹے کے اندر یہاں لکھیں۔",
        code="کوڈ",
        code_hint="ای میل میں دیے گئے آٹھ ہندسے",
        confirm="تصدیق کریں",
        verified="ای میل کی تصدیق ہو گئی۔ اب سے اطلاعات وہاں جائیں گی؛ ہر ای میل میں روکنے کا لنک ہے۔",
        wrong_code="کوڈ درست نہیں۔ تازہ ترین ای میل سے آٹھ ہندسے لکھیں، یا ایک گھنٹے بعد دوبارہ مانگیں۔",
        unknown_receipt="ایسی کوئی رسید نہیں۔ ہر حرف دوبارہ دیکھیں۔",
        too_many="آپ کے کنکشن سے بہت سے غلط اندراج ہوئے۔ ایک منٹ بعد دوبارہ کوشش کریں۔",
        stop_title="ای میل روکیں",
        stop_question="کیا آپ اپنی رجسٹریشنوں کے بارے میں مزید ای میل نہیں چاہتے؟",
        stop="ای میل روکیں",
        stopped="آپ کو اپنی رجسٹریشنوں کے بارے میں مزید ای میل نہیں ملے گی۔ رجسٹریشنیں تبدیل نہیں ہوئیں۔",
        no_link="اس لنک سے کوئی ای میل نہیں رکتی۔ تازہ ترین ای میل کا لنک استعمال کریں۔",
        status="کیا میری رجسٹریشن نافذ ہے؟",
        other_language="English",
    ),
}


def ask_page(language: Language, error: str = "", status: int = 200) -> HTMLResponse:
    """Respond with the form that asks for a code by a receipt, and with what was wrong in it."""
    labels = LABELS[language]
    parts = [
        f"<p>{_text(labels.introduction)}</p>",
        *_form(language, [_receipt(labels, "", error)], labels.ask),
    ]
    return _page(language, labels.title, parts, status)


def code_page(language: Language, receipt: str, error: str = "", status: int = 200) -> HTMLResponse:
    """Respond with the form for the code that was asked for by a receipt."""
    labels = LABELS[language]
    code = _field("code", labels.code, _text(labels.code_hint), error, 'inputmode="numeric" maxlength="20" autofocus')
    parts = [
        f'<p class="answer" role="status">{_text(labels.asked)}</p>',
        *_form(language, [_receipt(labels, receipt, ""), code], labels.confirm),
    ]
    return _page(language, labels.title, parts, status)


def verified_page(language: Language) -> HTMLResponse:
    """Respond that an address is verified."""
    labels = LABELS[language]
    return _page(language, labels.title, [f'<p class="answer in_force" role="status">{_text(labels.verified)}</p>'])


def stop_page(language: Language, path: str) -> HTMLResponse:
    """Respond with the question of a link that stops mail; the answer is a POST, since programs follow links."""
    labels = LABELS[language]
    form = f'<form method="post" action="{public_path(path)}">{_language(language)}'
    parts = [
        f"<p>{_text(labels.stop_question)}</p>",
        f'{form}<button type="submit">{_text(labels.stop)}</button></form>',
    ]
    return _page(language, labels.stop_title, parts)


def stopped_page(language: Language, *, is_known: bool) -> HTMLResponse:
    """Respond that mail is stopped, or that the link is none."""
    labels = LABELS[language]
    if is_known:
        return _page(language, labels.stop_title, [f'<p class="answer" role="status">{_text(labels.stopped)}</p>'])
    return _page(language, labels.stop_title, [f'<p class="error" role="alert">{_text(labels.no_link)}</p>'], 404)


def _page(language: Language, title: str, parts: Sequence[str], status: int = 200) -> HTMLResponse:
    other = ENGLISH if language == URDU else URDU
    labels = LABELS[language]
    navigation = {
        f"{PATH}?lang={other}": f'<span lang="{other}">{labels.other_language}</span>',
        f"/status?lang={language}": _text(labels.status),
    }
    found = page(_text(title), parts, language, navigation, STYLE)
    found.status_code = status
    found.headers.update({"Cache-Control": "no-store", "Vary": "Accept-Language", "Content-Language": language})
    return found


def _form(language: Language, fields: Sequence[str], button: str) -> list[str]:
    start = f'<form method="post" action="{public_path(PATH)}" novalidate>{_language(language)}'
    return [start, *fields, f'<button type="submit">{_text(button)}</button></form>']


def _language(language: Language) -> str:
    return f'<input type="hidden" name="lang" value="{language}">'


def _receipt(labels: Labels, value: str, error: str) -> str:
    hint = _text(labels.receipt_hint).format(example=f'<bdi lang="en">{RECEIPT}</bdi>')
    attributes = f'value="{html.escape(value)}" autocapitalize="characters" maxlength="{MAX_LENGTH}"'
    return _field("receipt", labels.receipt, hint, error, attributes)


def _field(name: str, label: str, hint: str, error: str, attributes: str) -> str:
    alert = f'<p id="{name}-error" class="error" role="alert">{_text(error)}</p>' if error else ""
    marks = f'aria-describedby="{name}-hint{f" {name}-error" if error else ""}"'
    marks += ' aria-invalid="true"' if error else ""
    return (
        f'<label for="{name}">{_text(label)}</label><p id="{name}-hint" class="hint">{hint}</p>{alert}'
        f'<input id="{name}" name="{name}" dir="ltr" lang="en" autocomplete="off" spellcheck="false" required '
        f"{attributes} {marks}>"
    )


def _text(text: str) -> str:
    return html.escape(text, quote=False)

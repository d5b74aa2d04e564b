"""Guide to the columns of a file: an example of each, and what to write, in English and Urdu.

The template and docs/uploads.md have these texts. The Urdu ones are in right-to-left order and leave examples to the
column of examples, because digits and dashes would change their order within them.
"""

from enum import StrEnum
from typing import NamedTuple

from app.applicants.rules import ApplicantKind
from app.registrations.rules import Protocol, Purpose, Track


class ColumnGuide(NamedTuple):
    """What to write in a column: an example, when it is needed, and what to write and what is taken, in two languages.

    ``needed`` is empty for a column that is never needed. ``choices`` are the codes of a column of codes, other than
    ``operator``, whose codes are in the database.
    """

    example: str
    needed: str
    write: str
    taken: str
    urdu: str
    choices: type[StrEnum] | None = None


ALWAYS = "always"
GUIDES = {
    "reference": ColumnGuide(
        "PSEB-1", "", "Your own name for the row, each used once", "Blanks at the ends are dropped",
        "اپنا حوالہ لکھیں۔ ہر سطر کا حوالہ الگ ہو۔",
    ),
    "track": ColumnGuide(
        "vpn_company", ALWAYS, "The procedure, one of its codes", "VPN Company, vpn-company",
        "طریقۂ کار کا کوڈ فہرست میں سے منتخب کریں۔", Track,
    ),
    "applicant_kind": ColumnGuide(
        "company", ALWAYS, "company or individual", "Company, INDIVIDUAL",
        "کمپنی کے لیے company اور فرد کے لیے individual منتخب کریں۔", ApplicantKind,
    ),
    "legal_name": ColumnGuide(
        "Indus Softworks (Pvt) Ltd", ALWAYS, "The name as in the certificate or on the card",
        "Blanks at the ends and invisible characters are dropped", "کمپنی یا فرد کا پورا قانونی نام لکھیں۔",
    ),
    "ntn": ColumnGuide(
        "1234567-8", "for a company", "Seven digits, a dash and the check digit", "12345678",
        "کمپنی کا این ٹی این آخری چیک ہندسے کے ساتھ لکھیں۔ کمپنی کے لیے لازمی ہے۔",
    ),
    "cnic": ColumnGuide(
        "12345-1234567-1", "for an individual", "Thirteen digits with two dashes", "1234512345671",
        "فرد کا شناختی کارڈ نمبر لکھیں۔ فرد کے لیے لازمی ہے۔",
    ),
    "email": ColumnGuide(
        "it@indus.example.pk", ALWAYS, "One e-mail address", "Blanks at the ends are dropped",
        "درخواست گزار کا ایک ای میل پتہ لکھیں۔",
    ),
    "mobile": ColumnGuide(
        "+923001234567", "", "A mobile number of Pakistan", "0300-1234567, 00923001234567, 3001234567",
        "پاکستان کا موبائل نمبر مثال کی طرح لکھیں۔",
    ),
    "pseb_number": ColumnGuide(
        "PSEB-C-000123", "", "The number of the registration with PSEB", "Blanks at the ends are dropped",
        "پی ایس ای بی کا رجسٹریشن نمبر، اگر ہو۔",
    ),
    "pasha_number": ColumnGuide(
        "PASHA-0042", "", "The number of the membership of P@SHA", "Blanks at the ends are dropped",
        "پاشا کی رکنیت کا نمبر، اگر ہو۔",
    ),
    "purpose": ColumnGuide(
        "it_services", ALWAYS, "The use of the addresses, one of its codes", "IT Services, it-services",
        "پتوں کے استعمال کا مقصد فہرست میں سے منتخب کریں۔", Purpose,
    ),
    "protocol": ColumnGuide(
        "wireguard", "for the VPN tracks", "The protocol of the VPN, one of its codes", "WireGuard, IPSec",
        "وی پی این کا پروٹوکول فہرست میں سے منتخب کریں۔ وی پی این کے لیے لازمی ہے۔", Protocol,
    ),
    "operator": ColumnGuide(
        "nayatel", ALWAYS, "The code of the internet operator", "Nayatel, PTCL",
        "انٹرنیٹ دینے والے ادارے کا کوڈ فہرست میں سے منتخب کریں۔",
    ),
    "subscriber_id": ColumnGuide(
        "NAYATEL-1", "for call_centre and video_conference", "The operator's number for the subscriber",
        "Blanks at the ends are dropped",
        "آپریٹر کے پاس آپ کا صارف نمبر۔ کال سینٹر اور ویڈیو کانفرنس کے لیے لازمی ہے۔",
    ),
    "networks": ColumnGuide(
        "203.99.50.5", ALWAYS, "Public addresses or blocks, with a blank between", "Commas, line breaks, dotted masks",
        "آپریٹر کے دیے ہوئے عوامی آئی پی پتے لکھیں۔ ایک سے زیادہ ہوں تو درمیان میں خالی جگہ چھوڑیں۔",
    ),
    "description": ColumnGuide(
        "Office in Lahore", "", "A remark for the officer", "Anything up to 2,000 characters",
        "افسر کے لیے کوئی وضاحت، اگر ضروری ہو۔",
    ),
    "replaces": ColumnGuide(
        "PSEB-1-2025", "", "Your reference of the registration that this row renews or moves",
        "Blanks at the ends are dropped", "اگر یہ سطر کسی پہلی رجسٹریشن کی تجدید یا تبدیلی ہو تو اُس کا حوالہ لکھیں۔",
    ),
}  # fmt: skip
STEPS = (
    ("Fill one row for each registration, on the sheet registrations.",
     "شیٹ registrations پر ہر رجسٹریشن کے لیے ایک سطر بھریں۔"),
    ("The coloured columns are needed in every row. Point at a heading for its note.",
     "رنگین کالم ہر سطر میں لازمی ہیں۔ وضاحت کے لیے کالم کے نام پر ماؤس لے جائیں۔"),
    ("The cells are text, so that no zero and no digit is lost. Leave them so.",
     "خانے متن (Text) ہیں تاکہ کوئی صفر یا ہندسہ ضائع نہ ہو۔ انہیں ایسے ہی رہنے دیں۔"),
    ("A blank cell leaves what is known of an applicant as it is.",
     "خالی خانہ درخواست گزار کی پہلے سے درج معلومات کو نہیں بدلتا۔"),
    ("Save the file and send it as it is. Rows with an error come back in refused.csv, with the reason.",
     "فائل محفوظ کریں اور ایسے ہی بھیج دیں۔ غلطی والی سطریں وجہ کے ساتھ refused.csv میں واپس ملتی ہیں۔"),
)  # fmt: skip

# of a company, so without a CNIC, and of its first registration
EXAMPLE_ROW = {name: "" if name in ("cnic", "replaces") else guide.example for name, guide in GUIDES.items()}

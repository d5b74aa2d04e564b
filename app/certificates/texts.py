"""Texts of certificates and of the page that verifies them, in English and Urdu.

Urdu on paper is set in a font without Latin letters, so a printed Urdu text has none.
"""

from datetime import datetime, timedelta, timezone

ENGLISH, URDU = LANGUAGES = ("en", "ur")
PAKISTAN = timezone(timedelta(hours=5))
MONTHS = {
    ENGLISH: (
        "January", "February", "March", "April", "May", "June",
        "July", "August", "September", "October", "November", "December",
    ),
    URDU: (
        "جنوری", "فروری", "مارچ", "اپریل", "مئی", "جون", "جولائی", "اگست", "ستمبر", "اکتوبر", "نومبر", "دسمبر",
    ),
}  # fmt: skip

LABELS = {
    ENGLISH: {
        "title": "Certificate of registration",
        "statement": (
            "The networks below are entered in the register of IP addresses used for VPNs and static-IP services."
        ),
        "case": "Registration",
        "track": "Kind",
        "operator": "Operator",
        "valid_from": "In force since",
        "exp": "Valid until",
        "networks": "Networks",
        "networks_digest": "Networks, as a digest",
        "scan": (
            "Scan the code or open the link to see whether this certificate is in force now. The registration may have "
            "been suspended or ended since. The certificate does not name its holder."
        ),
        "open": "Open the link",
    },
    URDU: {
        "title": "رجسٹریشن کا سرٹیفکیٹ",
        "statement": "درج ذیل نیٹ ورک وی پی این اور مستقل آئی پی پتوں کے رجسٹر میں درج ہیں۔",
        "case": "رجسٹریشن",
        "track": "قسم",
        "operator": "آپریٹر",
        "valid_from": "مؤثر از",
        "exp": "مؤثر تا",
        "networks": "نیٹ ورک",
        "networks_digest": "نیٹ ورکس کا خلاصہ",
        "scan": (
            "کوڈ اسکین کریں یا لنک کھولیں تاکہ معلوم ہو کہ یہ سرٹیفکیٹ اس وقت نافذ ہے یا نہیں۔ ممکن ہے کہ رجسٹریشن "
            "اس کے بعد معطل یا ختم ہو چکی ہو۔ سرٹیفکیٹ میں حامل کا نام درج نہیں ہے۔"
        ),
        "open": "لنک کھولیں",
    },
}

TRACKS = {
    ENGLISH: {
        "vpn_company": "VPN of a company",
        "vpn_freelancer": "VPN of a freelancer",
        "call_centre": "Call centre",
        "video_conference": "Video conferencing",
    },
    URDU: {
        "vpn_company": "کمپنی کا وی پی این",
        "vpn_freelancer": "فری لانسر کا وی پی این",
        "call_centre": "کال سینٹر",
        "video_conference": "ویڈیو کانفرنس",
    },
}

# What the page says, by the names that its script knows.
OUTCOMES = {
    ENGLISH: {
        "valid": "Valid",
        "suspended": "Suspended",
        "ended": "Ended",
        "not_valid": "Not valid",
        "unknown": "Could not be verified",
        "in_force": "This register has signed the certificate, and the registration is in force now.",
        "is_suspended": "The registration is suspended for now: its networks are not on the list.",
        "expired": "The time of the certificate is over. Ask its holder for a new one.",
        "ended_early": "The registration has ended, was replaced by another, or its networks were given back.",
        "malformed": "This is not a certificate of this register, or a part of it is missing.",
        "unknown_key": "It is signed by no key that this register trusts. Ask its holder for a new one.",
        "tampered": "The signature does not match: the certificate was changed or is forged.",
        "no_keys": "The keys of the register could not be loaded. Check your connection, and try again.",
        "no_status": "The signature is right, but the present status could not be loaded. Try again.",
        "old_browser": "This browser cannot check the signature. Use a newer version or another browser.",
        "insecure": "A browser checks signatures only over HTTPS. Open the page by its https:// address.",
        "checking": "Checking",
        "same": "These are the networks of the certificate.",
        "other": "These are not the networks of the certificate.",
    },
    URDU: {
        "valid": "درست ہے",
        "suspended": "معطل ہے",
        "ended": "ختم ہو چکا ہے",
        "not_valid": "درست نہیں",
        "unknown": "تصدیق نہیں ہو سکی",
        "in_force": "اس سرٹیفکیٹ پر اسی رجسٹر کے دستخط ہیں اور رجسٹریشن اس وقت نافذ ہے۔",
        "is_suspended": "رجسٹریشن فی الحال معطل ہے: اس کے نیٹ ورک فہرست میں نہیں ہیں۔",
        "expired": "سرٹیفکیٹ کی مدت ختم ہو چکی ہے۔ حامل سے نیا سرٹیفکیٹ طلب کریں۔",
        "ended_early": "رجسٹریشن ختم ہو چکی ہے، کسی اور سے بدل دی گئی ہے، یا اس کے نیٹ ورک واپس کر دیے گئے ہیں۔",
        "malformed": "یہ اس رجسٹر کا سرٹیفکیٹ نہیں، یا اس کا کوئی حصہ غائب ہے۔",
        "unknown_key": "اس پر رجسٹر کی کسی قابلِ اعتماد کلید کے دستخط نہیں۔ حامل سے نیا سرٹیفکیٹ طلب کریں۔",
        "tampered": "دستخط مطابقت نہیں رکھتے: سرٹیفکیٹ میں تبدیلی کی گئی ہے یا یہ جعلی ہے۔",
        "no_keys": "رجسٹر کی کلیدیں حاصل نہیں ہو سکیں۔ اپنا کنکشن دیکھیں اور دوبارہ کوشش کریں۔",
        "no_status": "دستخط درست ہیں، لیکن موجودہ حیثیت معلوم نہیں ہو سکی۔ دوبارہ کوشش کریں۔",
        "old_browser": "یہ براؤزر دستخط کی جانچ نہیں کر سکتا۔ نیا ورژن یا کوئی اور براؤزر استعمال کریں۔",
        "insecure": "براؤزر صرف HTTPS پر دستخط کی جانچ کرتا ہے۔ صفحہ https:// سے کھولیں۔",
        "checking": "جانچ ہو رہی ہے",
        "same": "سرٹیفکیٹ کے نیٹ ورک یہی ہیں۔",
        "other": "سرٹیفکیٹ کے نیٹ ورک یہ نہیں ہیں۔",
    },
}

PAGE = {
    ENGLISH: {
        "title": "Verify a certificate",
        "lead": (
            "Scan the code of a certificate, choose its PDF, or paste its link or text. It is verified in your browser "
            "and sent nowhere."
        ),
        "certificate": "Link or text of the certificate",
        "file": "PDF of the certificate",
        "check": "Verify",
        "compare": "The code has a digest of the networks. To compare them, enter those of the paper, one a line",
        "compare_now": "Compare",
        "no_script": "This page needs JavaScript, which comes from this register alone.",
        "other_language": "اردو",
    },
    URDU: {
        "title": "سرٹیفکیٹ کی تصدیق",
        "lead": (
            "سرٹیفکیٹ کا کوڈ اسکین کریں، اس کی پی ڈی ایف منتخب کریں، یا اس کا لنک یا متن یہاں چسپاں کریں۔ تصدیق آپ کے "
            "براؤزر میں ہوتی ہے اور کچھ بھی کہیں نہیں بھیجا جاتا۔"
        ),
        "certificate": "سرٹیفکیٹ کا لنک یا متن",
        "file": "سرٹیفکیٹ کی پی ڈی ایف",
        "check": "تصدیق کریں",
        "compare": "کوڈ میں نیٹ ورکس کا خلاصہ ہے۔ موازنے کے لیے کاغذ پر درج نیٹ ورک لکھیں، ہر سطر میں ایک",
        "compare_now": "موازنہ کریں",
        "no_script": "اس صفحے کے لیے جاوا اسکرپٹ درکار ہے، جو صرف اسی رجسٹر سے آتا ہے۔",
        "other_language": "English",
    },
}


def format_time(time: datetime, language: str) -> str:
    """Return a time to the minute in Pakistan, in words of a language; the English one has its distance from UTC."""
    local = time.astimezone(PAKISTAN)
    day = f"{local.day} {MONTHS[language][local.month - 1]} {local.year}"
    return f"{day}, {local:%H:%M} (UTC+05:00)" if language == ENGLISH else f"{day}، {local:%H:%M}"

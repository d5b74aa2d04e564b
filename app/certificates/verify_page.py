"""The page that verifies a certificate in the browser, in a language of ``LANGUAGES``."""

from html import escape

from app.certificates.texts import LABELS, LANGUAGES, OUTCOMES, PAGE, TRACKS

SCRIPT, STYLE = "verify.js", "verify.css"
FACTS = ("exp", "networks", "networks_digest", "operator", "track", "valid_from", "case")


def preferred_language(accept_language: str) -> str:
    """Return the language of ``LANGUAGES`` that an ``Accept-Language`` names first; English without one."""
    for each in accept_language.split(","):
        tag = each.partition(";")[0].strip().lower().partition("-")[0]
        if tag in LANGUAGES:
            return tag
    return LANGUAGES[0]


def title(language: str) -> str:
    """Return the title of the page."""
    return PAGE[language]["title"]


def body(language: str) -> list[str]:
    """Return the HTML of the page: a form, the result, and the texts that its script shows. Its links are relative."""
    texts = {name: escape(text) for name, text in PAGE[language].items()}
    labels = {name: escape(text) for name, text in LABELS[language].items()}
    other = next(each for each in LANGUAGES if each != language)
    facts = "".join(f'<dt>{labels[name]}</dt><dd data-fact="{name}" dir="auto"></dd>' for name in FACTS)
    said = {**OUTCOMES[language], **TRACKS[language]}
    return [
        f'<link rel="stylesheet" href="static/{STYLE}">',
        f'<p><a id="language" href="?lang={other}" lang="{other}" hreflang="{other}">{texts["other_language"]}</a></p>',
        f'<p>{texts["lead"]}</p><noscript><p class="unknown">{texts["no_script"]}</p></noscript>',
        '<section id="result" tabindex="-1" aria-live="polite" hidden><h2 id="outcome"></h2><p id="reason"></p>',
        f'<dl id="facts">{facts}</dl>',
        f'<form id="compare" hidden><label for="networks">{texts["compare"]}</label>',
        '<textarea id="networks" rows="4" dir="ltr" spellcheck="false"></textarea>',
        f'<button>{texts["compare_now"]}</button><p id="compared" role="status"></p></form></section>',
        f'<form id="form"><label for="certificate">{texts["certificate"]}</label>',
        '<textarea id="certificate" rows="4" dir="ltr" spellcheck="false" autocomplete="off"></textarea>',
        f'<label for="file">{texts["file"]}</label><input id="file" type="file" accept="application/pdf">',
        f"<button>{texts['check']}</button></form>",
        f'<div id="texts" hidden>{"".join(_text(name, text) for name, text in said.items())}</div>',
        f'<script src="static/{SCRIPT}"></script>',
    ]


def _text(name: str, text: str) -> str:
    return f'<span data-text="{name}">{escape(text)}</span>'

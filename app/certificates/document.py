"""The certificate as a PDF: one page, in English and Urdu, with a QR code that leads to its verification."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.resources import as_file, files
from typing import Any

from fpdf import FPDF
from fpdf.enums import Align, XPos, YPos

from app.certificates import qr_code
from app.certificates.texts import ENGLISH, LABELS, TRACKS, URDU, format_time

# It tells each step of reducing a font.
logging.getLogger("fontTools").setLevel(logging.WARNING)

LATIN, NASTALIQ, FIXED = "Helvetica", "nastaliq", "Courier"
FONT = files("app.certificates") / "fonts" / "NotoNastaliqUrdu-Regular.ttf"
MARGIN, WIDTH = 18.0, 174.0  # of an A4 page, in mm
CODE_SIZE = 82.0  # half a millimetre a module for the longest links
LINE = 4.6  # of networks
LONG = 30  # characters of a network, of which three do not fit beside one another
GREY = 110


def to_pdf(claims: Mapping[str, Any], link: str) -> bytes:
    """Return the PDF of a certificate. Its bytes depend on nothing but the claims and the link."""
    pdf = FPDF(format="A4")
    pdf.set_margin(MARGIN)
    pdf.set_auto_page_break(auto=True, margin=MARGIN)
    pdf.set_lang(ENGLISH)
    pdf.set_title(f"{LABELS[ENGLISH]['title']} {claims['sub']}")
    pdf.set_author(claims["iss"])
    pdf.set_creation_date(datetime.fromtimestamp(claims["iat"], UTC))
    with as_file(FONT) as path:
        pdf.add_font(NASTALIQ, fname=path)
    pdf.set_text_shaping(use_shaping_engine=True)
    pdf.add_page()
    _write_head(pdf)
    _write_facts(pdf, claims)
    _write_code(pdf, link)
    _write_networks(pdf, claims["networks"])
    return bytes(pdf.output())


def _write_head(pdf: FPDF) -> None:
    top = pdf.get_y()
    half = WIDTH / 2
    for name, latin_size, urdu_size in (("title", 18.0, 20.0), ("statement", 10.5, 12.5)):
        bottoms = [
            _write_block(pdf, LABELS[ENGLISH][name], (MARGIN, top, half - 4), latin_size, is_bold=name == "title"),
            _write_urdu(pdf, LABELS[URDU][name], (MARGIN + half, top, half), urdu_size),
        ]
        top = max(bottoms) + 2
    pdf.set_xy(MARGIN, top)


def _write_facts(pdf: FPDF, claims: Mapping[str, Any]) -> None:
    """Write a line for each fact: its English name, its value, and its Urdu name with the value where it has words."""
    times = {name: datetime.fromtimestamp(claims[name], UTC) for name in ("valid_from", "exp")}
    facts = {
        "case": (claims["sub"], ""),
        "track": (TRACKS[ENGLISH][claims["track"]], TRACKS[URDU][claims["track"]]),
        "operator": (claims["operator"], ""),
        **{name: (format_time(time, ENGLISH), format_time(time, URDU)) for name, time in times.items()},
    }
    for name, (value, urdu) in facts.items():
        top = pdf.get_y()
        pdf.set_draw_color(GREY)
        pdf.line(MARGIN, top, MARGIN + WIDTH, top)
        _write_block(pdf, LABELS[ENGLISH][name], (MARGIN, top + 2.6, 28), 9.5)
        _write_block(pdf, value, (MARGIN + 28, top + 2.6, 84), 10.5, is_bold=True)
        label = LABELS[URDU][name]
        _write_urdu(pdf, f"{label}: {urdu}" if urdu else label, (MARGIN + 104, top, 70), 11.5)
        pdf.set_xy(MARGIN, top + 10)


def _write_code(pdf: FPDF, link: str) -> None:
    """Write the code, a link at its place, and what to do with it at its side."""
    top = pdf.get_y() + 3
    code = qr_code.encode(link)
    module = CODE_SIZE / (len(code.matrix) + 2 * qr_code.QUIET_ZONE)
    first = qr_code.QUIET_ZONE * module
    pdf.set_fill_color(0)
    for row, column, length in qr_code.dark_runs(code):
        pdf.rect(MARGIN + first + column * module, top + first + row * module, length * module, module, style="F")
    pdf.link(MARGIN, top, CODE_SIZE, CODE_SIZE, link, alt_text=LABELS[ENGLISH]["scan"])
    left, width = MARGIN + CODE_SIZE + 6, WIDTH - CODE_SIZE - 6
    bottom = _write_block(pdf, LABELS[ENGLISH]["scan"], (left, top + 6, width), 10.5)
    bottom = _write_urdu(pdf, LABELS[URDU]["scan"], (left, bottom + 3, width), 12.5)
    pdf.set_text_color(0, 80, 160)
    pdf.set_font(LATIN, "U", 10.5)
    pdf.set_xy(left, bottom + 3)
    pdf.cell(width, 6, LABELS[ENGLISH]["open"], link=link)
    pdf.set_text_color(0)
    pdf.set_xy(MARGIN, top + CODE_SIZE + 2)


def _write_networks(pdf: FPDF, networks: list[str]) -> None:
    """Write the networks in columns, by rows."""
    top = pdf.get_y()
    _write_block(pdf, LABELS[ENGLISH]["networks"], (MARGIN, top + 2.6, 60), 9.5)
    _write_urdu(pdf, LABELS[URDU]["networks"], (MARGIN + WIDTH - 60, top, 60), 11.5)
    pdf.set_xy(MARGIN, top + 10)
    is_long = max(map(len, networks)) > LONG
    columns = 2 if is_long else 3
    width = WIDTH / columns
    pdf.set_font(FIXED, "", 8.5 if is_long else 9.5)
    for place, network in enumerate(networks):
        is_last = place % columns == columns - 1
        pdf.cell(
            width,
            LINE,
            network,
            new_x=XPos.LMARGIN if is_last else XPos.RIGHT,
            new_y=YPos.NEXT if is_last else YPos.TOP,
        )


def _write_block(
    pdf: FPDF, text: str, place: tuple[float, float, float], size: float, *, is_bold: bool = False
) -> float:
    """Write an English text at left, top and width; returns the bottom."""
    left, top, width = place
    pdf.set_font(LATIN, "B" if is_bold else "", size)
    pdf.set_xy(left, top)
    pdf.multi_cell(width, size * 0.5, text, align=Align.L, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    return pdf.get_y()


def _write_urdu(pdf: FPDF, text: str, place: tuple[float, float, float], size: float) -> float:
    """Write an Urdu text, from the right; returns the bottom. Nastaliq needs twice the height of its letters."""
    left, top, width = place
    pdf.set_font(NASTALIQ, "", size)
    pdf.set_xy(left, top)
    pdf.multi_cell(width, size * 0.85, text, align=Align.R, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    return pdf.get_y()

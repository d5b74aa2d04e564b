"""The printed certificate and its QR code lead to the page that verifies it."""

import asyncio
import os
import re
import shutil
import subprocess
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import segno
import zxingcpp
from fpdf import FPDF
from fpdf.fonts import TTFFont
from PIL import Image

from app.certificates import document, printing, qr_code
from app.certificates.printing import Printer
from app.certificates.rules import networks_digest
from app.certificates.service import Certificate
from app.certificates.texts import LABELS, MONTHS, TRACKS, URDU
from app.core.auth.signatures import new_key
from app.core.errors import Unavailable
from tests.support import cases, certificates
from tests.support.service import Caller, Service

CLAIMS: dict[str, Any] = {
    "iss": "https://register.example.pk", "sub": "0198f1c2-3b4d-7e5f-8a9b-0c1d2e3f4a5b",
    "networks": ["203.99.50.10/32"], "track": "vpn_company", "operator": "nayatel", "valid_from": 1_790_000_000,
    "exp": 1_830_000_000, "iat": 1_795_000_000,
    "status": {"status_list": {"idx": 5, "uri": "https://register.example.pk/v1/certificates/status-list"}},
}  # fmt: skip
PDFTOPPM = shutil.which("pdftoppm")
needs_poppler = pytest.mark.skipif(PDFTOPPM is None, reason="there is no pdftoppm: apt-get install poppler-utils")


def links_of(pdf: bytes) -> set[str]:
    """Return the targets of a PDF's links, which are plain text in it."""
    return {each.decode() for each in re.findall(rb"/URI \((http[^)]+)\)", pdf)}


def pages(pdf: bytes, folder: Path) -> list[Path]:
    """Render the pages as pictures, as a printer does."""
    assert PDFTOPPM is not None
    (folder / "certificate.pdf").write_bytes(pdf)
    command: list[str | Path] = [PDFTOPPM, "-r", "150", "-gray", "-png", folder / "certificate.pdf", folder / "page"]
    subprocess.run(command, check=True, env={"PATH": os.environ["PATH"]})
    return sorted(folder.glob("page*.png"))


def decoded(picture: Image.Image) -> str:
    """Read the one QR code of a picture, as a phone's camera does."""
    (found,) = zxingcpp.read_barcodes(picture)
    return found.text


@needs_poppler
@pytest.mark.slow
async def test_the_code_on_the_paper_leads_to_a_certificate_that_verifies(
    service: Service, pseb: Caller, officer: Caller, tmp_path: Path
) -> None:
    case = await cases.approved(pseb, officer)
    answer = await certificates.get(pseb, case, "pdf")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"] == f'inline; filename="certificate-{case["id"]}.pdf"'
    (page,) = pages(answer.content, tmp_path)
    link = decoded(Image.open(page))
    assert link.startswith(f"{service.settings.public_url}/verify#eyJ")
    assert links_of(answer.content) == {link}
    claims = (await certificates.verified(service, certificates.certificate_in(link))).claims
    assert (claims["sub"], claims["networks"]) == (case["id"], case["networks"])


@pytest.mark.slow
async def test_the_picture_of_the_code_leads_there_too(service: Service, pseb: Caller, officer: Caller) -> None:
    case = await cases.approved(pseb, officer)
    answer = await certificates.get(pseb, case, "svg")
    assert answer.headers["content-type"] == "image/svg+xml"
    assert b"<script" not in answer.content
    assert answer.content.startswith(b"<?xml")
    link = certificate_link(await certificates.signed(pseb, case), service)
    # the code is one path of dark modules: as large as that of a link of this length
    assert f'viewBox="0 0 {qr_code.encode(link).symbol_size(border=4)[0]}'.encode() in answer.content


def certificate_link(token: str, service: Service) -> str:
    return f"{service.settings.public_url}/verify#{token}"


@needs_poppler
@pytest.mark.parametrize("count", [1, 12, 64])
def test_a_code_is_read_from_paper_however_many_networks_there_are(count: int, tmp_path: Path) -> None:
    networks = [f"2407:d000:{n:x}:1234:5678:9abc:def0:{n:x}/128" for n in range(count)]
    certificate = Certificate({**CLAIMS, "networks": networks}, new_key("Ed25519"))
    first, *_ = pages(document.to_pdf(certificate.claims, certificate.link), tmp_path)
    claims = certificates.claims_of(certificates.certificate_in(decoded(Image.open(first))))
    if count == 64:
        assert "networks" not in claims
        assert claims["networks_digest"] == networks_digest(networks)
    else:
        assert claims["networks"] == networks


def test_a_link_above_two_thousand_characters_has_a_digest_and_one_below_has_the_networks() -> None:
    key, limit = new_key("Ed25519"), 2_000
    seen = set()
    for count in range(1, 65):
        certificate = Certificate({**CLAIMS, "networks": ["203.99.50.16/29"] * count}, key)
        claims = certificates.claims_of(certificates.certificate_in(certificate.link))
        whole = len(f"{CLAIMS['iss']}/verify#{certificate.signed}")
        assert len(certificate.link) <= limit
        assert ("networks" in claims) == (whole <= limit)
        assert set(claims) ^ set(certificate.claims) <= {"networks", "networks_digest"}
        seen.add("networks" in claims)
    assert seen == {True, False}


def test_the_same_certificate_is_the_same_file_and_has_no_other_times() -> None:
    one, two = (document.to_pdf(CLAIMS, "https://register.example.pk/verify#eyJ") for _ in range(2))
    assert one == two
    issued = datetime.fromtimestamp(CLAIMS["iat"], UTC)
    assert set(re.findall(rb"D:(\d{14})", one)) == {f"{issued:%Y%m%d%H%M%S}".encode()}


def nastaliq() -> TTFFont:
    pdf = FPDF()
    pdf.add_font("nastaliq", fname=str(document.FONT))
    pdf.set_font("nastaliq")
    pdf.set_text_shaping(use_shaping_engine=True)
    font = pdf.fonts["nastaliq"]
    assert isinstance(font, TTFFont)
    return font


def test_every_letter_of_the_urdu_texts_is_in_the_font() -> None:
    known = nastaliq().cmap
    texts = [*LABELS[URDU].values(), *TRACKS[URDU].values(), *MONTHS[URDU], "0123456789،: "]
    assert {letter for text in texts for letter in text if ord(letter) not in known} == set()


def test_urdu_is_shaped_by_the_font_and_written_from_the_right() -> None:
    font, word = nastaliq(), "سرٹیفکیٹ"
    glyphs, positions = font.perform_harfbuzz_shaping(word, 12, None)
    clusters = [each.cluster for each in glyphs]
    assert clusters == sorted(clusters, reverse=True)
    alone = [font.perform_harfbuzz_shaping(letter, 12, None)[1] for letter in word]
    # the letters are joined and slope down to the line, as in Nastaliq
    assert sum(each.x_advance for each in positions) < sum(each.x_advance for one in alone for each in one)
    assert any(each.y_offset > 0 for each in positions)


async def test_a_drawing_that_takes_too_long_is_ended_and_the_next_one_succeeds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    printer = Printer()
    monkeypatch.setattr(printing, "WAIT_SECONDS", 0.001)
    with pytest.raises(Unavailable, match="in time"):
        await printer.draw("caller", "svg", CLAIMS, "https://register.example.pk/verify#eyJ")
    monkeypatch.undo()
    assert b"<svg" in await printer.draw("caller", "svg", CLAIMS, "https://register.example.pk/verify#eyJ")
    printer.close()


async def test_certificates_drawn_at_once_are_each_their_own() -> None:
    printer = Printer()
    claims = [{**CLAIMS, "networks": [f"203.99.50.{n}/32"]} for n in range(4)]
    drawn = await asyncio.gather(
        *(
            printer.draw(f"caller {n % 2}", "pdf", each, f"https://register.example.pk/verify#eyJ{n}")
            for n, each in enumerate(claims)
        )
    )
    assert [links_of(each) for each in drawn] == [{f"https://register.example.pk/verify#eyJ{n}"} for n in range(4)]
    printer.close()


def test_a_code_is_the_one_that_the_library_would_draw() -> None:
    code = qr_code.encode("https://register.example.pk/verify#eyJ")
    out = BytesIO()
    code.save(out, kind="png", scale=4, border=4)
    assert decoded(Image.open(out)) == "https://register.example.pk/verify#eyJ"
    dark = {(row, column + n) for row, column, length in qr_code.dark_runs(code) for n in range(length)}
    assert dark == {(y, x) for y, row in enumerate(code.matrix) for x, is_dark in enumerate(row) if is_dark}
    assert segno.make_qr("a", error="l").version == 1

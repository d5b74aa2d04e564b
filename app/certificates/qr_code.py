"""QR codes (ISO/IEC 18004) of links to the page that verifies a certificate."""

from collections.abc import Iterator
from io import BytesIO

import segno

QUIET_ZONE = 4  # modules of margin


def encode(link: str) -> segno.QRCode:
    """Return the code of a link, with as much error correction as its smallest size has room for."""
    return segno.make_qr(link, error="l", mode="byte")


def to_svg(link: str, title: str) -> bytes:
    """Return the code as an SVG picture, which grows to the size of its frame."""
    out = BytesIO()
    encode(link).save(
        out, kind="svg", border=QUIET_ZONE, title=title, dark="#000", light="#fff", omitsize=True, svgclass=None
    )
    return out.getvalue()


def dark_runs(code: segno.QRCode) -> Iterator[tuple[int, int, int]]:
    """Yield row, column and length of each run of dark modules in a row, without the margin."""
    for row, modules in enumerate(code.matrix):
        start = None
        for column, is_dark in enumerate((*modules, 0)):
            if is_dark and start is None:
                start = column
            elif not is_dark and start is not None:
                yield row, start, column - start
                start = None

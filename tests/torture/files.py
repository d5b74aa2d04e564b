"""Files of random registrations, with the expected outcome of each row."""

import io
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address
from itertools import count
from random import Random
from typing import NamedTuple

from app.bulk_uploads.rules import APPLICANT_COLUMNS, RowOutcome, UploadFormat
from app.uploader.source import Source
from tests.support import uploads

MAX_ROWS = 200
SHARE_WRONG = 0.1
SHARE_OF_KNOWN_APPLICANTS = 0.5
# rows so long that a worker reads them in a process of its own, from several parts
HEAVY, HEAVY_ROWS, SHARE_HEAVY = "\U0001f4c4" * 2_000, 280, 0.06
MISTAKES = ({"email": "@"}, {"networks": "10.0.0.1"}, {"purpose": "fun"})
_numbers = count()


class Line(NamedTuple):
    """A row of a file. Rows that are ``is_sound`` are accepted, the others refused."""

    line: int
    reference: str
    network: str
    ntn: str
    is_sound: bool


@dataclass(frozen=True)
class File:
    """A file and its rows."""

    source: Source
    lines: list[Line]

    def counts(self, taken_as: RowOutcome) -> dict[str, int]:
        """The counts of its upload."""
        sound = sum(each.is_sound for each in self.lines)
        none = {outcome.value: 0 for outcome in RowOutcome}
        return {**none, taken_as.value: sound, "refused": len(self.lines) - sound, "total": len(self.lines)}


def address() -> str:
    """Return an address that is unused in this process."""
    return str(IPv4Address("39.32.0.0") + next(_numbers))


def file(random: Random, name: str) -> File:
    """Return a file in any format, of up to ``MAX_ROWS`` rows or of heavy ones; references begin with ``name``."""
    is_heavy = random.random() < SHARE_HEAVY
    formats = [UploadFormat.CSV, UploadFormat.NDJSON] if is_heavy else [UploadFormat(each) for each in uploads.WRITERS]
    upload_format = random.choice(formats)
    first_line = 1 if upload_format == UploadFormat.NDJSON else 2
    rows: list[dict[str, str]] = []
    lines: list[Line] = []
    applicant: dict[str, str] = {}
    for number in range(HEAVY_ROWS if is_heavy else random.randint(1, MAX_ROWS)):
        row = uploads.row(f"{name}-{number}", networks=address(), **({"description": HEAVY} if is_heavy else {}))
        is_sound = random.random() >= SHARE_WRONG
        if not is_sound:
            row |= random.choice((*MISTAKES, {"reference": lines[0].reference} if lines else MISTAKES[0]))
        else:
            row |= applicant if random.random() < SHARE_OF_KNOWN_APPLICANTS else {}
            applicant = {column: row[column] for column in APPLICANT_COLUMNS if column in row}
        rows.append(row)
        network = f"{row['networks']}/32"
        lines.append(Line(first_line + number, row["reference"], network, row["ntn"], is_sound))
    body = uploads.WRITERS[upload_format](rows)
    packs = upload_format != UploadFormat.XLSX and random.random() < 0.3
    source = Source(name, partial(io.BytesIO, body), upload_format, "gzip" if packs else None, packs)
    return File(source, lines)

"""Text files read as the service reads them: described, normalized and read by rows."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from app.bulk_uploads.readers.csv import read_csv
from app.bulk_uploads.readers.layout import Layout
from app.bulk_uploads.readers.parser import parse_cells
from app.bulk_uploads.readers.rows import Row
from app.bulk_uploads.readers.text import TextNormalizer, describe_text
from app.bulk_uploads.rules import UploadOptions

COLUMNS = (
    "reference", "track", "applicant_kind", "legal_name", "ntn", "email", "purpose", "operator", "networks",
    "description",
)  # fmt: skip
HEADER = ",".join(COLUMNS)


class Read(NamedTuple):
    """A file as it was read: its layout, its rows without the header, and its normalized bytes."""

    layout: Layout
    rows: Sequence[Row]
    text: bytes

    @property
    def cells(self) -> list[dict[str, str]]:
        """The cells of each row by column, without blank ones."""
        parsed = [parse_cells(row, self.layout.columns)[0] for row in self.rows]
        return [{name: cell for name, cell in each.items() if cell} for each in parsed]

    @property
    def errors(self) -> dict[int, list[str]]:
        """The pointer and detail of the errors of each refused row, by row."""
        parsed = {row.row: parse_cells(row, self.layout.columns)[1] for row in self.rows}
        return {row: [f"{each.pointer} {each.detail}" for each in found] for row, found in parsed.items() if found}

    @property
    def references(self) -> list[str]:
        """The references of the rows that are taken."""
        refused = self.errors
        return [
            cells.get("reference", "")
            for row, cells in zip(self.rows, self.cells, strict=True)
            if row.row not in refused
        ]


def read(body: bytes, options: UploadOptions | None = None) -> Read:
    """Read a CSV file. Raises ``Invalid`` when the whole file is refused."""
    layout = describe_text(body, "csv", options or UploadOptions())
    text = normalize(body, layout)
    _, *rows = read_csv([text], layout)
    return Read(layout, rows, text)


def normalize(body: bytes, layout: Layout) -> bytes:
    """Return the normalized text of a CSV file."""
    normalizer = TextNormalizer(layout.encoding, "csv")
    return normalizer.feed(body) + normalizer.finish()


def line(reference: str, /, separator: str = ",", **changes: str) -> str:
    """Return a line of a valid row under ``HEADER``, as written, without its end."""
    cells: Mapping[str, str] = {
        "reference": reference,
        "track": "vpn_company",
        "applicant_kind": "company",
        "legal_name": "Alpha Ltd",
        "ntn": "7700001-1",
        "email": "it@alpha.example.pk",
        "purpose": "it_services",
        "operator": "ptcl",
        "networks": "39.49.0.5",
        **changes,
    }
    return separator.join(cells.get(name, "") for name in COLUMNS)


def file(*lines: str, header: str = HEADER, end: str = "\r\n") -> bytes:
    """Return the bytes of a file in UTF-8 with the header and the lines."""
    return "".join(f"{each}{end}" for each in (header, *lines)).encode()

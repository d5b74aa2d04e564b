"""Uploads in which every other row is invalid, and exactly the problems that they must give."""

import csv
import io
from dataclasses import dataclass, field

from tests.support import uploads

Place = tuple[str, str]
"""A column and a code."""


@dataclass(frozen=True)
class Defect:
    """Cells that make a valid row invalid, and the problems they give; ``like`` copies columns of the row before."""

    problems: set[Place]
    cells: dict[str, str]
    like: tuple[str, ...] = field(default=())


def _one(column: str, code: str, *texts: str) -> list[Defect]:
    return [Defect({(column, code)}, {column: text}) for text in texts]


_RESERVED = (
    "0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "169.254.1.1", "172.16.9.9", "192.0.2.1", "192.168.7.0/24",
    "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "::ffff:39.32.0.1", "64:ff9b::2720:1",
    "2001:db8::5", "2002:2720:1::/48", "fc00::1", "fe80::1", "fec0::9", "ff02::1",
)  # fmt: skip
_MALFORMED = (
    "39.32.0", "39.32.0.256", "39.32.0.1/33", "39.32.0.01", "39.32.0.1/032", "2400:1460:::1", "host", "0x27200001",
    "39.32.0.1:443", "https://39.32.0.1", "39.32.0.1/", "39.32.0.1-39.32.0.6", "fe80::1%eth0",
)  # fmt: skip
_APPLICANT = ("applicant_kind", "legal_name", "ntn", "cnic", "email", "mobile", "pseb_number", "pasha_number")

DEFECTS = [
    *_one("track", "missing_field", "", "  "),
    *_one("track", "invalid_value", "hobby", "vpn_freelancer"),
    *_one("applicant_kind", "missing_field", ""),
    *_one("applicant_kind", "invalid_value", "charity"),
    *_one("legal_name", "missing_field", ""),
    *_one("legal_name", "invalid_value", "n" * 201, "Bell\u0007 Ltd", "Nul\u0000 Ltd", "N/A", "Caf\ufffd", "CafÃ©"),
    *_one("ntn", "missing_field", ""),
    *_one("ntn", "ntn_malformed", "1234567", "1234567-89", "3.52E+12"),
    *_one("cnic", "cnic_malformed", "900010000001", "90001-000001-1"),
    *_one("email", "missing_field", ""),
    *_one("email", "email_malformed", "nobody", "a@b@example.com", "it@-indus.example.pk"),
    *_one("email", "invalid_value", f"{'a' * 250}@example.com"),
    *_one("mobile", "mobile_malformed", "0300123456", "+92300123456", "0300-1234567 ext 5", "+924001234567", "-"),
    *_one("pseb_number", "invalid_value", "p" * 101),
    *_one("purpose", "missing_field", ""),
    *_one("purpose", "invalid_value", "streaming"),
    *_one("protocol", "missing_field", ""),
    *_one("protocol", "invalid_value", "carrier_pigeon"),
    *_one("operator", "missing_field", ""),
    *_one("operator", "unknown_operator", "acme", "Nayatel (Pvt) Ltd"),
    *_one("subscriber_id", "invalid_value", "s" * 201),
    *_one("reference", "invalid_value", "r" * 101),
    *_one("description", "invalid_value", "d" * 2_001, "bell\u0007"),
    *_one("networks", "missing_field", "", "   "),
    *_one("networks", "invalid_value", " ".join(f"39.33.0.{i}" for i in range(65))),
    *_one("networks", "network_malformed", *_MALFORMED),
    *_one("networks", "network_host_bits", "39.32.0.5/29", "2400:1460::1/64"),
    *_one("networks", "network_too_wide", "39.32.0.0/23", "2400:1460::/47"),
    *_one("networks", "network_reserved", *_RESERVED),
    *_one("networks", "network_overlap", "39.34.9.0/29 39.34.9.3"),
    Defect({("subscriber_id", "missing_field")}, {"track": "call_centre"}),
    Defect({("cnic", "missing_field")}, {"applicant_kind": "individual"}),
    Defect({("reference", "reference_duplicate")}, {}, like=("reference",)),
    Defect({("networks", "network_overlap")}, {}, like=(*_APPLICANT, "networks")),
    Defect({("networks", "network_malformed"), ("networks", "network_reserved")}, {"networks": "39.32.0 127.0.0.1"}),
    Defect(
        {("email", "email_malformed"), ("purpose", "invalid_value"), ("networks", "missing_field")},
        {"email": "@", "purpose": "fun", "networks": ""},
    ),
    Defect(
        {("reference", "reference_duplicate"), ("protocol", "invalid_value")},
        {"protocol": "pigeon"}, like=("reference",),
    ),
]  # fmt: skip


def upload() -> tuple[bytes, list[tuple[int, str, str]]]:
    """Return a file of alternating valid and invalid rows, and the line, column and code of each problem, in order.

    Valid rows hold values that only look invalid; a description of two lines moves every line after it.
    """
    rows: list[dict[str, str]] = []
    expected: list[tuple[int, str, str]] = []
    line = 2
    for i, defect in enumerate(DEFECTS):
        sound = uploads.row(f"DR-{i:04d}-sound", legal_name=f'سندھ, "Online" {i}', description="of two\nlines")
        bad = uploads.row(**{"reference": f"DR-{i:04d}", **defect.cells})
        bad |= {column: sound.get(column, "") for column in defect.like}
        rows += [sound, bad]
        expected += [(line + 2, column, code) for column, code in defect.problems]
        line += 3 + sum(text.count("\n") for text in bad.values())
    return uploads.csv_of(rows), sorted(expected)


def read_problems(text: str) -> list[tuple[int, str, str]]:
    """Return the line, column and code of each problem in a ``problems.csv``, in order."""
    return sorted(
        (int(each["line"]), each["column"], each["code"]) for each in csv.DictReader(io.StringIO(text, newline=""))
    )

"""Generates upload files of any number of rows, fifteen an applicant, with addresses of the operators' prefixes."""

import csv
import io
import json
import random
from ipaddress import ip_network
from pathlib import Path

from app.bulk_uploads.rules import COLUMNS

ROWS_OF_AN_APPLICANT = 15
STEP = 2_654_435_761  # a prime, so that neighbouring addresses have different applicants
OPERATORS = Path(__file__).parents[1] / "app" / "operators" / "reference" / "operators.json"
WRONG = (
    ("email", "nobody at example"),
    ("cnic", "91234-123456-1"),
    ("track", "vpn_hobby"),
    ("networks", "39.32.0.300"),
    ("networks", "192.168.1.10"),
    ("operator", "acme"),
)


def upload(count: int, *, wrong: float, shuffled: bool, spreadsheet: bool = False) -> bytes:
    """Return a CSV file of ``count`` rows, sorted by address or shuffled; the share ``wrong`` of them is invalid.

    With ``spreadsheet`` each mobile is written locally and each cell is quoted.
    """
    chance = random.Random(2024)
    companies = count // ROWS_OF_AN_APPLICANT + 1
    rows = [_row(i, i * STEP % companies, *found) for i, found in enumerate(_addresses(count))]
    for row in chance.sample(rows, int(count * wrong)):
        column, cell = chance.choice(WRONG)
        row[column] = cell
    if shuffled:
        chance.shuffle(rows)
    text = io.StringIO(newline="")
    if spreadsheet:
        for row in rows:
            row["mobile"] = f"0{row['mobile'][3:6]}-{row['mobile'][6:]}"
    out = csv.DictWriter(text, COLUMNS, restval="", quoting=csv.QUOTE_ALL if spreadsheet else csv.QUOTE_MINIMAL)
    out.writeheader()
    out.writerows(rows)
    return text.getvalue().encode()


def _addresses(count: int) -> list[tuple[str, str]]:
    listed = json.loads(OPERATORS.read_text())["operators"]
    blocks = [(each["code"], ip_network(prefix)) for each in listed for prefix in each["prefixes"] if "." in prefix]
    every = max(1, sum(block.num_addresses for _, block in blocks) // (count + 2 * len(blocks)))
    found = [(code, str(block[i])) for code, block in blocks for i in range(0, block.num_addresses, every)]
    return found[:count]


def _row(number: int, company: int, operator: str, address: str) -> dict[str, str]:
    return {
        "reference": f"B-{number:08d}",
        "track": "vpn_company",
        "applicant_kind": "company",
        "legal_name": f"Indus Softworks {company} (Pvt) Ltd",
        "ntn": f"{company:07d}-{company % 9}",
        "cnic": f"90001-{company:07d}-{company % 10}" if company % 10 < 7 else "",
        "email": f"it{company}@company{company}.example.pk",
        "mobile": f"+923{company:09d}",
        "pseb_number": f"PSEB-C-{company:06d}" if company % 2 else "",
        "purpose": "it_services",
        "protocol": "wireguard",
        "operator": operator,
        "subscriber_id": f"{operator.upper()}-{number:08d}",
        "networks": address,
        "description": "remote access to head office" if number % 3 else "",
    }

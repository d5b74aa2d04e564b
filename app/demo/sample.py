"""Synthetic register of the real one's size, on the address space that operators announce.

It has the numbers reported in 2024: 19,840 addresses of 1,286 companies, 180 of 136 freelancers, and 417 of 60
companies submitted through P@SHA. All persons, companies and numbers are invented: CNICs start with 9, as no real one.
"""

import csv
import io
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network
from itertools import accumulate
from math import gcd
from pathlib import Path

from app.bulk_uploads.rules import COLUMNS

OPERATORS = Path(__file__).parents[1] / "operators" / "reference" / "operators.json"
SEED = 2024
PLACES = ("Indus", "Karakoram", "Ravi", "Chenab", "Margalla", "Khyber", "Soan", "Makran", "Hunza", "سندھ", "Thar")
TRADES = ("Softworks", "Systems", "Data, Cloud & AI", "Exports", "Contact Centre", 'Textiles "Online"', "University")
GIVEN = ("Ayesha", "Bilal", "Fatima", "Hamza", "Iqra", "Junaid", "Nadia", "Omar", "Sana", "زینب", "احمد")
FAMILY = ("Afridi", "Baloch", "Chaudhry", "Durrani", "Khan", "Memon", "Qureshi", "Shah", "ملک")
PURPOSES = ("it_services", "it_services", "it_services", "call_centre", "banking", "education", "e_commerce")
Row = dict[str, str]  # of a file, by column
PROTOCOLS = ("ipsec", "openvpn", "wireguard", "l2tp", "sstp", "other")
DESCRIPTIONS = ("", "", "client project, Europe", "remote access to head office", "دفتر")


@dataclass(frozen=True, slots=True)
class SampleUpload:
    """One upload of the sample: its partner, and its numbers of addresses and applicants."""

    name: str
    partner: str
    kind: str
    track: str
    addresses: int
    applicants: int


UPLOADS = (
    SampleUpload("companies", "pseb", "company", "vpn_company", 19_840, 1_286),
    SampleUpload("freelancers", "pseb", "individual", "vpn_freelancer", 180, 136),
    SampleUpload("pasha", "pasha", "company", "vpn_company", 417, 60),
)


class AddressWalk:
    """Every announced address once, in a pseudo-random order."""

    def __init__(self, rng: random.Random) -> None:
        listed = json.loads(OPERATORS.read_text())["operators"]
        self._blocks = [(each["code"], IPv4Network(prefix)) for each in listed for prefix in each["prefixes"]]
        self._ends = list(accumulate(block.num_addresses for _, block in self._blocks))
        self._total = self._ends[-1]
        self._at = rng.randrange(self._total)
        self._step = next(step for step in range(self._total // 3, self._total) if gcd(step, self._total) == 1)

    def next(self) -> tuple[str, str]:
        """Return an operator's code and an address that it announces."""
        self._at = (self._at + self._step) % self._total
        index = next(i for i, end in enumerate(self._ends) if self._at < end)
        code, block = self._blocks[index]
        return code, str(block[self._at - (self._ends[index] - block.num_addresses)])


class Sample:
    """Generator of the sample register's uploads, the same for the same seed."""

    def __init__(self, seed: int = SEED) -> None:
        self._rng = random.Random(seed)  # noqa: S311 - a sample is not a secret
        self._walk = AddressWalk(self._rng)
        self._people = 0

    def files(self) -> Iterator[tuple[SampleUpload, bytes]]:
        """Yield each upload with its CSV."""
        for upload in UPLOADS:
            yield upload, self.csv(upload)

    def csv(self, upload: SampleUpload) -> bytes:
        """Return the CSV of one upload: few applicants with many addresses, many with few, in random order."""
        rows = [
            self._row(applicant, upload.track)
            for count in self._address_counts(upload.addresses, upload.applicants)
            for applicant in [self._applicant(upload)]
            for _ in range(count)
        ]
        self._rng.shuffle(rows)
        text = io.StringIO(newline="")
        out = csv.DictWriter(text, COLUMNS, restval="")
        out.writeheader()
        out.writerows({**row, "reference": f"{upload.name}-{i:06d}"} for i, row in enumerate(rows))
        return text.getvalue().encode()

    def _address_counts(self, addresses: int, applicants: int) -> list[int]:
        weights = [1 / (i + 1) ** 0.6 for i in range(applicants)]
        scale = (addresses - applicants) / sum(weights)
        counts = [1 + int(weight * scale) for weight in weights]
        for i in range(addresses - sum(counts)):
            counts[i % applicants] += 1
        return counts

    def _applicant(self, upload: SampleUpload) -> Row:
        self._people += 1
        n, rng = self._people, self._rng
        cnic = f"9{n % 10_000:04d}-{rng.randrange(10**7):07d}-{n % 10}"
        common = {"applicant_kind": upload.kind, "mobile": f"+923{rng.randrange(10**9):09d}"}
        if upload.kind == "individual":
            name = f"{rng.choice(GIVEN)} {rng.choice(FAMILY)}"
            return {**common, "legal_name": name, "cnic": cnic, "email": f"person{n}@example.com"}
        return {
            **common,
            "legal_name": f"{rng.choice(PLACES)} {rng.choice(TRADES)} {n} (Pvt) Ltd",
            "ntn": f"{n:07d}-{n % 9}",
            "cnic": cnic if rng.random() < 0.7 else "",
            "email": f"it{n}@company{n}.example.pk",
            "pseb_number": f"PSEB-C-{n:06d}" if rng.random() < 0.6 else "",
            "pasha_number": f"PASHA-{n:05d}" if upload.partner == "pasha" else "",
        }

    def row(self, upload: SampleUpload) -> Row:
        """Return one more row of a new applicant, on an address that no row has."""
        return self._row(self._applicant(upload), upload.track)

    def _row(self, applicant: Row, track: str) -> Row:
        operator, address = self._walk.next()
        rng = self._rng
        return {
            **applicant,
            "track": track,
            "purpose": "freelancing" if track == "vpn_freelancer" else rng.choice(PURPOSES),
            "protocol": rng.choice(PROTOCOLS),
            "operator": operator,
            "subscriber_id": f"{operator.upper()}-{rng.randrange(10**8):08d}",
            "networks": f"{address}/32" if rng.random() < 0.2 else address,
            "description": rng.choice(DESCRIPTIONS),
        }

"""Values that occur nowhere else, and the search for them in what a register leaves behind."""

import base64
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import quote

from tests.support import cases, uploads

_numbers = count(1)


@dataclass
class Canaries:
    """The personal data and secrets sent or received so far, by kind."""

    cnics: list[str] = field(default_factory=list)
    emails: list[str] = field(default_factory=list)
    mobiles: list[str] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    def person(self, **changes: Any) -> dict[str, Any]:
        """A freelancer whose every number and address occurs nowhere else."""
        n = next(_numbers)
        person = cases.individual(
            cnic=f"97{n:03d}-8675309-{n % 10}", email=f"planted{n}@leak{n}.example.pk", mobile=f"+92377{n:07d}"
        )
        self.cnics.append(person["cnic"])
        self.emails.append(person["email"])
        self.mobiles.append(person["mobile"])
        return {**person, **changes}

    def row(self, reference: str, **changes: str) -> dict[str, str]:
        """A row of an upload about such a person."""
        person = self.person()
        kind = {"applicant_kind": person.pop("kind"), "ntn": "", "track": "vpn_freelancer", "purpose": "freelancing"}
        return uploads.row(reference, **{**kind, **person, **changes})


def found(values: list[str], text: str) -> list[str]:
    """The values that can be read in ``text`` in any usual form."""
    return [value for value in values if any(form in text for form in forms(value))]


def forms(value: str) -> set[str]:
    """A value as it is, with other separators or none, in a URL, in hexadecimal digits and in base64 at any offset."""
    raw = value.encode()
    encoded = {base64.b64encode(b"\0" * shift + raw)[4 if shift else 0 : -4].decode() for shift in range(3)}
    bare = value.replace("-", "").removeprefix("+")
    separated = {value.replace("-", each) for each in (" ", "\u2013")}
    return {value, bare, *separated, quote(value, safe=""), raw.hex(), *encoded}

"""Bringing the reference data that the project carries into the database."""

import json
from pathlib import Path

from app.core.database.transaction import Transaction
from app.operators import store

REFERENCE = Path(__file__).parent / "reference"


async def load_reference(tx: Transaction) -> None:
    """Make the operators and allocations those of the files beside this module."""
    listed = json.loads((REFERENCE / "operators.json").read_text())["operators"]
    operators = [{key: each[key] for key in ("code", "name", "asn")} for each in listed]
    prefixes = [{"operator": each["code"], "prefix": prefix} for each in listed for prefix in each["prefixes"]]
    await store.replace_reference(tx, operators, prefixes, allocations())


def allocations() -> list[str]:
    """The country's prefixes, IPv4 and IPv6."""
    lines = [line for family in "46" for line in (REFERENCE / f"pk-ipv{family}.txt").read_text().splitlines()]
    return sorted({line for line in lines if line and not line.startswith("#")})

"""Loading the reference data of this package into the database."""

import json
from pathlib import Path

from app.core.database.transaction import Transaction
from app.operators import store

REFERENCE = Path(__file__).parent / "reference"


async def load_reference(tx: Transaction) -> None:
    """Replace the operators and allocations in the database by those of the files in ``reference``."""
    listed = json.loads((REFERENCE / "operators.json").read_text())["operators"]
    operators = [{key: each[key] for key in ("code", "name", "asn")} for each in listed]
    prefixes = [{"operator": each["code"], "prefix": prefix} for each in listed for prefix in each["prefixes"]]
    await store.replace_reference(tx, operators, prefixes, country_prefixes())


def country_prefixes() -> list[str]:
    """The prefixes allocated to the country, IPv4 and IPv6."""
    lines = [line for family in "46" for line in (REFERENCE / f"pk-ipv{family}.txt").read_text().splitlines()]
    return sorted({line for line in lines if line and not line.startswith("#")})

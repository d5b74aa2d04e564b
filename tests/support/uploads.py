"""CSV uploads for tests."""

import csv
import io
from typing import Any

import httpx

from app.bulk_uploads.rules import COLUMNS
from tests.support import cases
from tests.support.service import Caller


def row(reference: str, **changes: Any) -> dict[str, str]:
    """A sound row of a company and an address that nobody has."""
    details = cases.company()
    details["applicant_kind"] = details.pop("kind")
    asked = {
        "reference": reference,
        "track": "vpn_company",
        "purpose": "it_services",
        "protocol": "wireguard",
        "operator": "nayatel",
        "networks": cases.address(),
    }
    return {**details, **asked, **changes}


def csv_of(rows: list[dict[str, str]], columns: tuple[str, ...] = COLUMNS) -> bytes:
    """Rows as an upload."""
    text = io.StringIO(newline="")
    out = csv.DictWriter(text, columns, restval="")
    out.writeheader()
    out.writerows(rows)
    return text.getvalue().encode()


async def send(caller: Caller, body: bytes, *, dry_run: bool = False, **headers: str) -> httpx.Response:
    """POST an upload."""
    return await caller.post(
        f"/v1/bulk-uploads?dry_run={str(dry_run).lower()}",
        content=body,
        headers={"Content-Type": "text/csv", **headers},
    )


async def uploaded(caller: Caller, body: bytes, *, dry_run: bool = False, chunk_rows: int = 2_000) -> dict[str, Any]:
    """An upload that was taken and brought to its end."""
    answer = await send(caller, body, dry_run=dry_run)
    assert answer.status_code == 202, answer.text
    await caller.service.ingest_all(chunk_rows)
    done: dict[str, Any] = (await caller.get(answer.headers["Location"])).json()
    return done

"""Bulk uploads: rows, files in every format, and the calls that send and ingest them."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import httpx
import xlsxwriter

from app.bulk_uploads.rules import COLUMNS, FORMAT_OF_TYPE
from tests.support import cases
from tests.support.service import Caller


def row(reference: str, **changes: Any) -> dict[str, str]:
    """Return a valid row of a new company with an address of its own."""
    details = cases.company()
    details["applicant_kind"] = details.pop("kind")
    registration = {
        "reference": reference,
        "track": "vpn_company",
        "purpose": "it_services",
        "protocol": "wireguard",
        "operator": "nayatel",
        "networks": cases.address(),
    }
    return {**details, **registration, **changes}


def csv_of(rows: list[dict[str, str]], columns: tuple[str, ...] = COLUMNS) -> bytes:
    """Write rows as CSV."""
    text = io.StringIO(newline="")
    out = csv.DictWriter(text, columns, restval="")
    out.writeheader()
    out.writerows(rows)
    return text.getvalue().encode()


def ndjson_of(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Write rows as newline-delimited JSON."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def xlsx_of(rows: list[dict[str, str]], columns: tuple[str, ...] = COLUMNS, sheet: str = "Sheet1") -> bytes:
    """Write rows as a workbook whose cells are texts."""
    body = io.BytesIO()
    workbook = xlsxwriter.Workbook(body)
    worksheet = workbook.add_worksheet(sheet)
    for number, cells in enumerate([columns, *([row.get(name, "") for name in columns] for row in rows)]):
        for column, cell in enumerate(cells):
            worksheet.write_string(number, column, cell)
    workbook.close()
    return body.getvalue()


WRITERS: dict[str, Callable[[list[dict[str, str]]], bytes]] = {"csv": csv_of, "ndjson": ndjson_of, "xlsx": xlsx_of}
TYPES = {upload_format.value: media_type for media_type, upload_format in reversed(FORMAT_OF_TYPE.items())}


async def send(
    caller: Caller,
    body: Any,
    *,
    dry_run: bool = False,
    upload_format: str = "csv",
    headers: Mapping[str, str] | None = None,
) -> httpx.Response:
    """Send a file and return the response."""
    return await caller.post(
        f"/v1/bulk-uploads?dry_run={str(dry_run).lower()}",
        content=body,
        headers={"Content-Type": TYPES[upload_format], **(headers or {})},
    )


async def ingest(
    caller: Caller, body: bytes, *, dry_run: bool = False, chunk_rows: int = 2_000, upload_format: str = "csv"
) -> dict[str, Any]:
    """Send a file, ingest it, and return the upload."""
    answer = await send(caller, body, dry_run=dry_run, upload_format=upload_format)
    assert answer.status_code == 202, answer.text
    await caller.service.ingest_all(chunk_rows)
    done: dict[str, Any] = (await caller.get(answer.headers["Location"])).json()
    return done


async def submit(caller: Caller, body: bytes, *, dry_run: bool = False) -> UUID:
    """Send a file and return the id of the upload, which is not ingested yet."""
    answer = await send(caller, body, dry_run=dry_run)
    assert answer.status_code == 202, answer.text
    return UUID(answer.json()["id"])


async def get(caller: Caller, upload_id: UUID) -> dict[str, Any]:
    """Return an upload as its submitter sees it."""
    found: dict[str, Any] = (await caller.get(f"/v1/bulk-uploads/{upload_id}")).json()
    return found


def counts(total: int | None, **others: int) -> dict[str, int | None]:
    """Return the counts of an upload; those that are not given are 0."""
    zeros = dict.fromkeys(("created", "unchanged", "updated", "refused", "unchanged_not_in_force"), 0)
    return {"total": total, **zeros, **others}


def table(answer: httpx.Response) -> list[dict[str, str]]:
    """Return the rows of an export; it begins with a byte-order mark, as spreadsheets want it."""
    assert answer.content.startswith(b"\xef\xbb\xbf"), answer.text
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig", "surrogateescape"), newline="")))

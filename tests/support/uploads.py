"""Uploads for tests, in every format."""

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


def ndjson_of(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Rows as an upload of newline-delimited JSON."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def xlsx_of(rows: list[dict[str, str]], columns: tuple[str, ...] = COLUMNS, sheet: str = "Sheet1") -> bytes:
    """Rows as a workbook of texts."""
    made = io.BytesIO()
    workbook = xlsxwriter.Workbook(made)
    page = workbook.add_worksheet(sheet)
    for number, cells in enumerate([columns, *([row.get(name, "") for name in columns] for row in rows)]):
        for at, cell in enumerate(cells):
            page.write_string(number, at, cell)
    workbook.close()
    return made.getvalue()


WRITERS: dict[str, Callable[[list[dict[str, str]]], bytes]] = {"csv": csv_of, "ndjson": ndjson_of, "xlsx": xlsx_of}
TYPES = {upload_format.value: media_type for media_type, upload_format in FORMAT_OF_TYPE.items()}


async def send(
    caller: Caller,
    body: Any,
    *,
    dry_run: bool = False,
    upload_format: str = "csv",
    headers: Mapping[str, str] | None = None,
) -> httpx.Response:
    """POST an upload."""
    return await caller.post(
        f"/v1/bulk-uploads?dry_run={str(dry_run).lower()}",
        content=body,
        headers={"Content-Type": TYPES[upload_format], **(headers or {})},
    )


async def uploaded(
    caller: Caller, body: bytes, *, dry_run: bool = False, chunk_rows: int = 2_000, upload_format: str = "csv"
) -> dict[str, Any]:
    """An upload that was taken and brought to its end."""
    answer = await send(caller, body, dry_run=dry_run, upload_format=upload_format)
    assert answer.status_code == 202, answer.text
    await caller.service.ingest_all(chunk_rows)
    done: dict[str, Any] = (await caller.get(answer.headers["Location"])).json()
    return done


async def received(caller: Caller, body: bytes, *, dry_run: bool = False) -> UUID:
    """The id of an upload that was taken and waits."""
    answer = await send(caller, body, dry_run=dry_run)
    assert answer.status_code == 202, answer.text
    return UUID(answer.json()["id"])


async def state(caller: Caller, upload_id: UUID) -> dict[str, Any]:
    """An upload as its submitter sees it."""
    found: dict[str, Any] = (await caller.get(f"/v1/bulk-uploads/{upload_id}")).json()
    return found

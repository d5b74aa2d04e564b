"""Files of registrations in CSV as people write it, and what an upload made of their rows."""

import csv
import io
from typing import Any

from app.bulk_uploads.rules import COLUMNS, FORMAT_OF_TYPE
from tests.support.service import Caller

Row = dict[str, str]
CSV = "text/csv"
TYPES = {upload_format.value: media_type for media_type, upload_format in FORMAT_OF_TYPE.items()}


def text(rows: list[Row], separator: str = ",", end: str = "\r\n", **options: Any) -> str:
    """Return rows as CSV text, with the header in ``header`` if it is given."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=separator, lineterminator=end, quoting=options.get("quoting", csv.QUOTE_MINIMAL))
    writer.writerow(options.get("header", COLUMNS))
    writer.writerows([row.get(name, "") for name in COLUMNS] for row in rows)
    return out.getvalue()


async def upload(caller: Caller, body: bytes, media_type: str = CSV, query: str = "") -> dict[str, Any]:
    """Send a file, ingest it, and return the upload with its ``rows``."""
    sent = await caller.post(f"/v1/bulk-uploads?{query}", content=body, headers={"Content-Type": media_type})
    assert sent.status_code == 202, sent.text
    await caller.service.ingest_all()
    done = (await caller.get(sent.headers["Location"])).json()
    assert done["status"] == "completed", done["problem"]
    return {**done, "rows": (await caller.get(f"{sent.headers['Location']}/rows?limit=100")).json()["items"]}


def outcomes(done: dict[str, Any]) -> list[tuple[int, str, list[tuple[str, str]]]]:
    """Return row, outcome, and column and code of each problem, for the rows of an upload."""
    return [
        (row["row"], row["outcome"], [(each["column"], each["code"]) for each in row["problems"]])
        for row in done["rows"]
    ]


async def networks_of(caller: Caller) -> dict[str, list[str]]:
    """Return the networks of a partner's registrations by their references."""
    found = (await caller.get("/v1/registrations?limit=100")).json()["items"]
    return {each["reference"]: each["networks"] for each in found}

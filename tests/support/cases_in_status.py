"""Cases in the statuses that a test needs, made by one upload and put there by SQL."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text

from tests.support import uploads
from tests.support.service import Caller

PUT = text("UPDATE registrations SET status = :status, claimed_by = :claimed_by WHERE reference = :reference")


async def cases_in_status(caller: Caller, statuses: Sequence[str], claimed_by: Any = None) -> list[dict[str, Any]]:
    """One case of the caller's for each status, in order; those ``in_review`` are claimed."""
    references = [f"standing-{index:04d}" for index in range(len(statuses))]
    done = await uploads.ingest(caller, uploads.csv_of([uploads.row(reference) for reference in references]))
    assert done["counts"]["created"] == len(statuses), done
    async with caller.service.database.transaction() as tx:
        for reference, status in zip(references, statuses, strict=True):
            claim = claimed_by if status == "in_review" else None
            await tx.execute(PUT, {"reference": reference, "status": status, "claimed_by": claim})
    listed = (await caller.get("/v1/registrations?limit=500")).json()["items"]
    by_reference = {each["reference"]: each for each in listed}
    return [by_reference[reference] for reference in references]

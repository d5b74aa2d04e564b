"""Uploads that were stored before layouts were are read to their end."""

import json

from app.bulk_uploads import store
from app.bulk_uploads.rules import COLUMNS
from tests.support import postgres, uploads
from tests.support.service import Caller, Service


async def test_a_text_file_that_was_stored_without_its_layout_is_read(service: Service, pseb: Caller) -> None:
    upload_id = await uploads.submit(pseb, uploads.csv_of([uploads.row("A"), uploads.row("B", email="@")]))
    await postgres.execute(service.settings.database_url, "UPDATE bulk_uploads SET layout = NULL")
    await service.ingest_all()
    done = await uploads.get(pseb, upload_id)
    assert (done["status"], done["counts"]["created"], done["counts"]["refused"]) == ("completed", 1, 1)


async def test_a_workbook_that_was_converted_without_its_layout_is_read(service: Service, pseb: Caller) -> None:
    row = uploads.row("A")
    upload = (await uploads.send(pseb, uploads.xlsx_of([row]), upload_format="xlsx")).json()
    lines = [[1, [*COLUMNS]], [2, [row.get(name, "") for name in COLUMNS]]]
    async with service.database.transaction() as tx:
        await store.delete_parts(tx, upload["id"])
        await store.add_part(tx, upload["id"], 0, b"".join(json.dumps(each).encode() + b"\n" for each in lines))
        await store.set_internal(tx, upload["id"], {"columns": [*COLUMNS]})
    await service.ingest_all()
    done = await uploads.get(pseb, upload["id"])
    assert (done["status"], done["counts"]["created"]) == ("completed", 1), done["problem"]

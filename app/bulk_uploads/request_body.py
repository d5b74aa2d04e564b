"""Body of an upload in the OpenAPI document: its description, content types and examples."""

import json
from typing import Any

from app.bulk_uploads.column_guide import EXAMPLE_ROW
from app.bulk_uploads.readers.rows import BYTE_ORDER_MARK
from app.bulk_uploads.rules import FORMAT_OF_TYPE, UploadFormat
from app.bulk_uploads.template import csv_template

EXAMPLE_FILE = csv_template([EXAMPLE_ROW["operator"]]).removeprefix(BYTE_ORDER_MARK).decode()
EXAMPLES = {
    UploadFormat.CSV: EXAMPLE_FILE,
    UploadFormat.NDJSON: json.dumps({**EXAMPLE_ROW, "networks": ["203.99.50.5"]}) + "\n",
}
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            media_type: {
                "schema": {"type": "string", "format": "binary"},
                "example": EXAMPLES.get(upload_format, "(the bytes of the file)"),
            }
            for media_type, upload_format in FORMAT_OF_TYPE.items()
        },
    }
}
DESCRIPTION = f"""Upload a file of registrations. Choose the content type of the file, then the file.

- A spreadsheet: XLSX (also XLSM), ODS or XLS, or a text file: CSV with commas, semicolons, tabs or `|`. The header row
  is among the first ten. All visible sheets with the header are read.
- NDJSON with the same names; `networks` may be a list.
- A ZIP archive of one such file. A body may also be compressed by `Content-Encoding`.
- A file of a type that you do not know is `application/octet-stream`.

An example file, which `GET /v1/bulk-uploads/template.csv` gives; `template.xlsx` beside it has drop-down lists and
instructions:

```csv
{EXAMPLE_FILE.strip()}
```

The response is 202 with the URL of the upload; a worker registers the rows later. A row with an error is refused by
itself. A file that cannot be read to its end is refused as a whole, and nothing is registered. `read_as` and `warnings`
of the upload say what was assumed, `normalized` counts the cells taken in another form, and `dry_run` shows all of it
without registering anything. An absent column and a blank cell leave what is known of an applicant as it is.

Partners are served in turn and small files do not wait behind large ones, so several uploads of one partner may be
processed at the same time. The unfinished uploads of a partner are limited in number, bytes and rows: beyond a limit
the response is 429 `uploads_waiting`.
"""

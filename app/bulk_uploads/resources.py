"""Resources of uploads and of their rows, made from what is stored."""

import re

from app.bulk_uploads import models, problems, schemas
from app.bulk_uploads.readers.layout import Layout
from app.bulk_uploads.rules import Encoding
from app.registrations.case_states import CaseState

# Options of an upload that its resource shows.
OPTIONS = ("clear", "rename", "renew")
UTF_16_IN_ORDER = re.compile(r"utf-16-[lb]e")


def upload_resource(upload: models.BulkUpload) -> schemas.BulkUpload:
    """Return the resource of an upload."""
    own = schemas.BulkUpload.model_fields.keys() - {"counts", "read_as", "applicants", *OPTIONS}
    return schemas.BulkUpload.model_validate(
        {
            **{name: getattr(upload, name) for name in own},
            "counts": {name: getattr(upload, name) for name in schemas.Counts.model_fields},
            "read_as": upload.layout and _read_as(Layout.from_json(upload.layout)),
            "applicants": {"created": upload.applicants_created, "changed": upload.applicants_changed},
            **{name: upload.options.get(name, False) for name in OPTIONS},
        }
    )


def _read_as(layout: Layout) -> schemas.ReadAs:
    return schemas.ReadAs(
        encoding=UTF_16_IN_ORDER.sub(Encoding.UTF_16, layout.encoding) if layout.encoding else None,
        separator=layout.separator,
        header_row=layout.tables[0].header_row or None,
        sheets=[table.sheet for table in layout.tables if table.sheet],
        ignored_columns=layout.ignored_columns,
    )


def row_resource(row: models.BulkUploadRow, layout: Layout, state: CaseState | None) -> schemas.UploadRow:
    """Return the resource of a row of the upload with this layout; ``state`` is that of its case, if it has one."""
    return schemas.UploadRow.model_validate(
        {
            **problems.place_of(layout, row.line, row.row),
            **{name: getattr(row, name) for name in ("outcome", "reference", "registration_id", "replaces")},
            **(state._asdict() if state else dict.fromkeys(CaseState._fields)),
            "problems": [problems.parts_of(each, layout, row.row) for each in row.problems],
            "normalized": row.normalized or (),
            "applicant_changes": row.applicant_changes or (),
        }
    )

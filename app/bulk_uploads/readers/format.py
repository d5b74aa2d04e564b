"""Format of a file by its first bytes; the media type decides where they do not."""

from app.bulk_uploads.errors import XlsxMalformed
from app.bulk_uploads.rules import TEXT_FORMATS, UploadFormat, UploadOptions
from app.core.errors import Invalid, InvalidValue

# A ZIP archive: a workbook (ISO/IEC 29500, 26300) or an archive of one file. A compound file (MS-CFB): XLS, or a
# workbook with a password.
ZIP_SIGNATURE, COMPOUND_FILE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
# The kind of a file is found in this many bytes.
HEAD_BYTES = 64 * 1024
IN_ARCHIVES = (UploadFormat.XLSX, UploadFormat.ODS, UploadFormat.ZIP)


def detect_format(head: bytes, declared: UploadFormat, options: UploadOptions) -> UploadFormat:
    """Return the format of the file that begins with ``head`` and was sent as ``declared``.

    A ZIP archive sent as anything else but a workbook is ``zip`` until it is opened. A text file may be sent as
    ``application/vnd.ms-excel``, which Windows calls CSV files; one that begins with ``{"`` is NDJSON. Raises
    ``XlsxMalformed`` for an empty file or a text sent as a workbook, and ``Invalid`` for an encoding given for a
    workbook.
    """
    if head.startswith(ZIP_SIGNATURE):
        found = declared if declared in IN_ARCHIVES else UploadFormat.ZIP
    elif head.startswith(COMPOUND_FILE):
        found = UploadFormat.XLS
    elif declared in TEXT_FORMATS:
        return UploadFormat.NDJSON if head.lstrip().startswith(b'{"') else declared
    elif declared == UploadFormat.XLS and head.strip():
        return UploadFormat.CSV
    elif not head.strip():
        raise XlsxMalformed("The file is empty.")
    else:
        raise XlsxMalformed(f"The file was sent as {declared}, but it is none. Send a text file as text/csv.")
    if options.encoding and found != UploadFormat.ZIP:
        raise Invalid.of([InvalidValue.at("/query/encoding", "A workbook has no encoding: leave this parameter out.")])
    return found

"""What can be wrong with an upload as a whole."""

from app.core.errors import Gone, Invalid, TooManyRequests


class CsvMalformed(Invalid):
    """The file cannot be read as CSV to its end."""

    code = "csv_malformed"
    title = "The file cannot be read as CSV"
    mend = "Send UTF-8 CSV (RFC 4180) with a header row. The detail names the line; nothing was registered."


class NdjsonMalformed(Invalid):
    """The file cannot be read as newline-delimited JSON to its end."""

    code = "ndjson_malformed"
    title = "The file cannot be read as NDJSON"
    mend = "Send UTF-8 with one JSON object on each line. The detail names the line; nothing was registered."


class XlsxMalformed(Invalid):
    """The file cannot be opened as an XLSX workbook."""

    code = "xlsx_malformed"
    title = "The file cannot be opened as an XLSX workbook"
    mend = (
        "Save it as .xlsx without a password, with the rows on the first sheet or on one named registrations, under "
        "a header row; or send CSV. Nothing was registered."
    )


class XlsxTooLarge(Invalid):
    """Reading the workbook takes more memory or time than one upload may have."""

    code = "xlsx_too_large"
    title = "The workbook takes too much memory or time to read"
    mend = "Copy the rows alone into a new workbook, in several if they are many, or send CSV. Nothing was registered."


class TooManyRows(Invalid):
    """The file has more rows than one upload may."""

    code = "too_many_rows"
    title = "The file has too many rows"
    mend = "Split the file: uploads take any number of files. Nothing was registered."


class DryRunForgotten(Gone):
    """What the dry run found of each row is not kept any more."""

    code = "dry_run_forgotten"
    title = "What a dry run found of its rows is kept for a day"
    mend = "The upload still tells how many rows had which outcome. Send the file again for the rows."


class ProcessingAborted(Invalid):
    """Workers were killed while they processed the file."""

    code = "processing_aborted"
    title = "Processing the file stopped the service's worker again and again"
    mend = (
        "The rows up to rows_done are registered, unless it was a dry run; those after it are not. Split the rest into "
        "several files and send them; if one fails again, report the upload's id."
    )


class UploadsWaiting(TooManyRequests):
    """The partner has as much waiting to be processed as it may."""

    code = "uploads_waiting"
    title = "Too much of yours is waiting to be processed"
    mend = (
        "Nothing was kept. Send the file again after the seconds in Retry-After; the detail says what waits, and "
        "GET /v1/bulk-uploads?status=processing and ?status=received how far it is."
    )

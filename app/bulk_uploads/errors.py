"""Errors of an upload as a whole."""

from app.core.errors import Gone, Invalid, TooManyRequests


class CsvMalformed(Invalid):
    """The file is not valid CSV."""

    code = "csv_malformed"
    title = "The file cannot be read as CSV"
    remedy = "Send UTF-8 CSV (RFC 4180) with a header row. The detail names the line. Nothing was registered."


class NdjsonMalformed(Invalid):
    """The file is not valid newline-delimited JSON."""

    code = "ndjson_malformed"
    title = "The file cannot be read as NDJSON"
    remedy = "Send UTF-8 with one JSON object on each line. The detail names the line. Nothing was registered."


class XlsxMalformed(Invalid):
    """The file cannot be opened as a workbook or an archive of one file."""

    code = "xlsx_malformed"
    title = "The file cannot be opened as a workbook"
    remedy = (
        "Save it as .xlsx without a password, with the names of the columns in one of the first ten rows of a visible "
        "sheet; or send CSV UTF-8. Nothing was registered."
    )


class XlsxTooLarge(Invalid):
    """Reading the workbook exceeds the limits of memory, time or output."""

    code = "xlsx_too_large"
    title = "The workbook takes too much memory or time to read"
    remedy = "Copy only the rows into one or more new workbooks, or send CSV. Nothing was registered."


class TooManyRows(Invalid):
    """The file has more rows than one upload may have."""

    code = "too_many_rows"
    title = "The file has too many rows"
    remedy = "Split the file into several uploads. Nothing was registered."


class DryRunForgotten(Gone):
    """The rows of the dry run were deleted."""

    code = "dry_run_forgotten"
    title = "The rows of this dry run were deleted"
    remedy = (
        "Rows of a dry run are kept for a limited time; the upload keeps its counts. Send the file again for the rows."
    )


class ProcessingAborted(Invalid):
    """Workers were killed repeatedly while they processed the file."""

    code = "processing_aborted"
    title = "The worker was killed repeatedly while it processed the file"
    remedy = (
        "The rows up to rows_done are registered, unless it was a dry run; later rows are not. Split the remaining "
        "rows into several files and send them. If one fails again, report the upload's id."
    )


class UploadsWaiting(TooManyRequests):
    """The partner's unfinished uploads reach a limit."""

    code = "uploads_waiting"
    title = "Too many of your uploads are waiting to be processed"
    remedy = (
        "The file was not stored. Send it again after the seconds in Retry-After. The detail lists the waiting "
        "uploads; GET /v1/bulk-uploads?status=processing and ?status=received show their progress."
    )

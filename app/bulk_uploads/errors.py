"""What can be wrong with an upload as a whole."""

from app.core.errors import Invalid


class CsvMalformed(Invalid):
    """The file cannot be read as CSV to its end."""

    code = "csv_malformed"
    title = "The file cannot be read as CSV"
    mend = "Send UTF-8 CSV (RFC 4180) with a header row. The detail names the line; nothing was registered."


class TooManyRows(Invalid):
    """The file has more rows than one upload may."""

    code = "too_many_rows"
    title = "The file has too many rows"
    mend = "Split the file: uploads take any number of files. Nothing was registered."

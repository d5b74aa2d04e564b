"""Sheets of a converted workbook: the headers, what people are told of them, and the rows under them."""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from app.bulk_uploads.errors import XlsxMalformed, XlsxTooLarge
from app.bulk_uploads.readers.columns import BLANKS, Columns
from app.bulk_uploads.readers.header import Header, find_header, missing_header
from app.bulk_uploads.readers.layout import Layout, Table
from app.bulk_uploads.readers.rows import LineReader, Position, Row
from app.bulk_uploads.readers.workbook import Converted, Sheet
from app.bulk_uploads.rules import UploadFormat, UploadOptions
from app.core.errors import FieldError, Invalid, InvalidValue

# A sheet with networks and this many more columns is a list of registrations, even if a required column is missing.
MIN_COLUMNS_OF_LIST = 4
NETWORKS = "networks"
MAX_NAMED_SHEETS = 10
UNTOLD = {
    UploadFormat.ODS: "an .ods file does not tell error cells, formulas without a saved value, number formats (such as "
    "0000000), merged cells or hidden rows",
    UploadFormat.XLS: "an .xls file does not tell error cells, formulas without a saved value, number formats (such as "
    "0000000) or hidden rows",
}


def workbook_layout(converted: Converted, options: UploadOptions) -> Layout:
    """Return the layout of a workbook, with a table for each visible sheet that has the header.

    Raises ``Invalid`` for the columns of a sheet with registrations, and when no sheet has a header.
    """
    found = [
        (sheet, number, header)
        for number, sheet in enumerate(converted.sheets)
        if (header := find_header([(each.row, each.cells) for each in sheet.head], options.ignore_columns, sheet.name))
    ]
    lists = [each for each in found if _is_list(each[2])] or sorted(found, key=lambda each: -each[2].known)[:1]
    errors = [error for _, _, header in lists for error in header.errors]
    if errors:
        raise Invalid.of(errors)
    if not lists:
        raise _without_header(converted)
    offsets = accumulate((sheet.last_row for sheet, _, _ in lists), initial=0)
    tables = [
        header.table(sheet.name, number, offset)
        for (sheet, number, header), offset in zip(lists, offsets, strict=False)
    ]
    ignored = dict.fromkeys(name for _, _, header in lists for name in header.ignored_columns)
    return Layout(None, None, tables, list(ignored))


def workbook_warnings(converted: Converted, layout: Layout) -> list[str]:
    """Return sentences on what a person may not expect of the way that a workbook was read."""
    read = [(converted.sheets[table.number], table) for table in layout.tables]
    names = [table.sheet for table in layout.tables]
    others = [sheet.name for sheet in converted.sheets if sheet.head and sheet.name not in names]
    warnings = []
    if len(names) > 1:
        warnings.append(f"{len(names)} sheets were read: {_list(names)}.")
    if others:
        warnings.append(f"Not read, since no header with the columns was found there: {_list(others)}.")
    if converted.hidden_sheets:
        warnings.append(f"Not read, since hidden: {_list(converted.hidden_sheets)}. Unhide a sheet to have it read.")
    for sheet, table in read:
        if hidden := _hidden_rows(sheet, table):
            warnings.append(
                f"Sheet {sheet.name!r}: {hidden:,} {'row that is' if hidden == 1 else 'rows that are'} hidden or "
                f"filtered out {'was' if hidden == 1 else 'were'} taken too. Delete the rows that are not meant."
            )
        if filled := _filled_cells(sheet, table):
            warnings.append(
                f"Sheet {sheet.name!r}: {filled:,} {'cell' if filled == 1 else 'cells'} inside merged cells took the "
                "value of the merged cell."
            )
    if untold := UNTOLD.get(converted.format):
        warnings.append(f"Check the cells: {untold}. To have them checked, save the workbook as .xlsx.")
    return warnings


def read_converted(parts: Iterable[bytes], layout: Layout, start: Position | None = None) -> Iterator[Row]:
    """Yield the header of the first table, and the rows of all tables; with ``start``, which is any row, only rows.

    The parts are those of a converted workbook. A line is the number of the row plus the offset of its table.
    """
    first = layout.tables[0]
    if start is None:
        line = first.offset + first.header_row
        yield Row(line, first.header_row, line, 0, layout.columns)
    readers = {table.number: _TableReader(layout, table) for table in layout.tables}
    lines = LineReader(parts, XlsxTooLarge)
    for text in lines:
        sheet, number, *cells_and_more = json.loads(text)
        reader = readers.get(sheet)
        if reader and number > reader.table.header_row and (row := reader.read(number, lines.bytes, *cells_and_more)):
            yield row


class _TableReader:
    """Reader of the rows of one table, which puts their cells in the order of the layout's columns."""

    def __init__(self, layout: Layout, table: Table) -> None:
        self.table = table
        self._columns = Columns(layout._replace(tables=[table]))
        own = self._columns.names
        self._order = [own.index(name) if name in own else len(own) for name in layout.columns]
        self._is_ordered = own == layout.columns

    def read(
        self,
        number: int,
        end: int,
        cells: list[str],
        sentences: Sequence[tuple[int, str]] = (),
        fills: Sequence[tuple[int, str]] = (),
    ) -> Row | None:
        """Return a row, or None when it has nothing but blanks."""
        names = self.table.names
        for at, text in fills:
            if at < len(names) and names[at]:
                cells += [""] * (at + 1 - len(cells))
                cells[at] = text
        errors: list[FieldError] = [
            InvalidValue.at(f"/{names[at]}", sentence) for at, sentence in sentences if at < len(names) and names[at]
        ]
        if not errors and not any(cell.strip(BLANKS) for cell in cells):
            return None
        line = self.table.offset + number
        row = self._columns.place(Row(line, number, line, end, cells, errors), ",")
        if self._is_ordered:
            return row
        width = len(self._columns.names)
        padded = [*row.cells[:width], ""]
        return row._replace(cells=[*(padded[at] for at in self._order), *row.cells[width:]])


def _is_list(header: Header) -> bool:
    return header.is_whole or (NETWORKS in header.names and header.known > MIN_COLUMNS_OF_LIST)


def _without_header(converted: Converted) -> Invalid:
    written = [each.name for each in converted.sheets if each.head]
    if written:
        return Invalid.of([missing_header(written[0] if len(written) == 1 else "")])
    hidden = f" Its hidden sheets are not read: {_list(converted.hidden_sheets)}." if converted.hidden_sheets else ""
    return XlsxMalformed(f"The workbook is empty: it has no cell with text on a visible sheet.{hidden}")


def _hidden_rows(sheet: Sheet, table: Table) -> int:
    in_head = [each for each in sheet.head if each.row > table.header_row and each.is_hidden]
    return sheet.hidden_rows + len(in_head)


def _filled_cells(sheet: Sheet, table: Table) -> int:
    """Return the number of cells under a named column that took the value of a merged range."""
    in_head = [at for each in sheet.head if each.row > table.header_row for at in each.filled]
    named = [at for at in in_head if at < len(table.names) and table.names[at]]
    return len(named) + sum(count for count, name in zip(sheet.filled_cells, table.names, strict=False) if name)


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(repr(each[:60]) for each in names[:MAX_NAMED_SHEETS])
    return f"{shown} and {len(names) - MAX_NAMED_SHEETS} more" if len(names) > MAX_NAMED_SHEETS else shown

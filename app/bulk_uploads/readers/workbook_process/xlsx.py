"""Parts of an XLSX workbook (ECMA-376): its sheets, shared strings and number formats."""

import posixpath
from collections.abc import Mapping
from datetime import date
from functools import partial
from typing import IO, NamedTuple
from zipfile import ZipFile

from app.bulk_uploads.readers.workbook_process.exits import Exit, Stopped
from app.bulk_uploads.readers.workbook_process.lines import Limits, SheetLines, write_summary
from app.bulk_uploads.readers.workbook_process.number_formats import NumberFormat, find_format
from app.bulk_uploads.readers.workbook_process.xlsx_sheet import TRUE, SheetReader, Workbook, read_merges, unescape
from app.bulk_uploads.readers.workbook_process.xml_parts import ElementReader, XmlReader

MAX_SHEETS = 100
NAME_CHARACTERS = 100
# The day 0 of both systems of dates, 1900 and 1904.
EPOCH, EPOCH_1904 = date(1899, 12, 30), date(1904, 1, 1)


class Relation(NamedTuple):
    """A relation to another part: the last word of its type, and the part's name."""

    kind: str
    target: str


class Package:
    """Parts of a workbook in its archive; names are compared without case (ECMA-376, part 2)."""

    def __init__(self, archive: ZipFile) -> None:
        self._archive = archive
        self._names = {each.lstrip("/").lower(): each for each in archive.namelist()}

    def open(self, name: str) -> IO[bytes]:
        """Open a part."""
        found = self._names.get(name.lower())
        if found is None:
            raise Stopped(Exit.UNREADABLE)
        return self._archive.open(found)

    def relations(self, name: str) -> dict[str, Relation]:
        """Return the relations of a part by id; those of the package for an empty name."""
        folder, base = posixpath.split(name)
        relations: dict[str, Relation] = {}

        def take(tag: str, attributes: Mapping[str, str]) -> None:
            if tag == "Relationship" and attributes.get("TargetMode") != "External":
                target = posixpath.normpath(posixpath.join("/", folder, attributes.get("Target", "")))
                kind = attributes.get("Type", "").rpartition("/")[2]
                relations[attributes.get("Id", "")] = Relation(kind, target.lstrip("/"))

        with self.open(posixpath.join(folder, "_rels", f"{base}.rels")) as part:
            ElementReader(take).read(part)
        return relations


def find_main_part(package: Package) -> str:
    """Return the name of the workbook's part. Raises ``Stopped`` when it has none, or is not XML."""
    target = next((each.target for each in package.relations("").values() if each.kind == "officeDocument"), "")
    if not target:
        raise Stopped(Exit.UNREADABLE)
    if target.endswith(".bin"):
        raise Stopped(Exit.BINARY_WORKBOOK)
    return target


class _Sheet(NamedTuple):
    name: str
    relation: str
    is_visible: bool


class _Main:
    """The workbook's own part: its sheets in order, and how dates and formulas are to be understood."""

    def __init__(self) -> None:
        self.sheets: list[_Sheet] = []
        self.is_workbook = False
        self.epoch = EPOCH
        self.is_unsaved = False

    def take(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag == "sheet":
            is_visible = attributes.get("state", "visible") == "visible"
            name = attributes.get("name", "")[:NAME_CHARACTERS]
            self.sheets.append(_Sheet(name, attributes.get("id", ""), is_visible))
        elif tag == "workbook":
            self.is_workbook = True
        elif tag == "workbookPr" and attributes.get("date1904") in TRUE:
            self.epoch = EPOCH_1904
        elif tag == "calcPr":
            self.is_unsaved = attributes.get("fullCalcOnLoad") in TRUE


class SharedStrings(XmlReader):
    """Parser of the shared strings, without their phonetic runs."""

    def __init__(self) -> None:
        super().__init__()
        self.strings: list[str] = []
        self._pieces: list[str] = []
        self._is_phonetic = False
        self._takes_text = False

    def start_element(self, name: str, attributes: Mapping[str, str]) -> None:  # noqa: ARG002 - the parser's interface
        """Begin a string or a text of it."""
        tag = self.local_names[name]
        if tag == "t":
            self._takes_text = not self._is_phonetic
        elif tag == "rPh":
            self._is_phonetic = True

    def end_element(self, name: str) -> None:
        """End a string or a text of it."""
        tag = self.local_names[name]
        if tag == "t":
            self._takes_text = False
        elif tag == "si":
            self.strings.append(unescape("".join(self._pieces)))
            self._pieces.clear()
        elif tag == "rPh":
            self._is_phonetic = False

    def characters(self, content: str) -> None:
        """Take a piece of text."""
        if self._takes_text:
            self._pieces.append(content)


class Styles(XmlReader):
    """Parser of the styles: ``formats`` has the number format of each style that does not show plain numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.formats: dict[str, NumberFormat] = {}
        self._codes: dict[int, str] = {}
        self._section = ""
        self._count = 0

    def start_element(self, name: str, attributes: Mapping[str, str]) -> None:
        """Take a number format or a style of cells."""
        tag = self.local_names[name]
        if tag in ("numFmts", "cellXfs"):
            self._section = tag
        elif tag == "numFmt" and self._section == "numFmts":
            self._codes[_number(attributes)] = attributes.get("formatCode", "")
        elif tag == "xf" and self._section == "cellXfs":
            if found := find_format(_number(attributes), self._codes):
                self.formats[str(self._count)] = found
            self._count += 1

    def end_element(self, name: str) -> None:
        """End a section."""
        if self.local_names[name] in ("numFmts", "cellXfs"):
            self._section = ""


def _number(attributes: Mapping[str, str]) -> int:
    written = attributes.get("numFmtId", "0")
    return int(written) if written.isdecimal() else 0


def write_xlsx(archive: ZipFile, out: IO[bytes], limits: Limits) -> None:
    """Write the rows of the visible sheets of a workbook, and the last line.

    Raises ``Stopped``, and the errors of the archive and of its XML.
    """
    package = Package(archive)
    main_part = find_main_part(package)
    main = _Main()
    with package.open(main_part) as part:
        ElementReader(main.take).read(part)
    if not main.is_workbook:
        raise Stopped(Exit.DOCUMENT)
    relations = package.relations(main_part)
    parts = {id_: each.target for id_, each in relations.items() if each.kind == "worksheet"}
    worksheets = [each for each in main.sheets if each.relation in parts]
    visible = [each for each in worksheets if each.is_visible]
    if len(visible) > MAX_SHEETS:
        raise Stopped(Exit.MANY_SHEETS)
    workbook = _read_shared_parts(package, relations, main)
    written: list[SheetLines] = []
    for sheet in visible:
        open_part = partial(package.open, parts[sheet.relation])
        written.append(SheetLines(out, sheet.name, len(written), limits, read_merges(open_part)))
        with open_part() as part:
            SheetReader(workbook, written[-1], limits.cells).read(part)
    hidden = [each.name for each in worksheets if not each.is_visible]
    write_summary(out, "xlsx", written, hidden[:MAX_SHEETS])


def _read_shared_parts(package: Package, relations: Mapping[str, Relation], main: _Main) -> Workbook:
    shared, styles = SharedStrings(), Styles()
    for kind, parser in (("sharedStrings", shared), ("styles", styles)):
        for relation in relations.values():
            if relation.kind == kind:
                with package.open(relation.target) as part:
                    parser.read(part)
    return Workbook(shared.strings, styles.formats, main.epoch, main.is_unsaved)

"""Kinds of files by their content: workbooks, archives of one file, and files that are neither."""

import io
import posixpath
from collections.abc import Sequence
from typing import IO
from zipfile import BadZipFile, ZipFile, ZipInfo

from app.bulk_uploads.readers.workbook_process.exits import Exit, Stopped
from app.bulk_uploads.readers.workbook_process.lines import Limits
from app.bulk_uploads.readers.workbook_process.xlsx import write_xlsx
from app.bulk_uploads.readers.workbook_process.xml_parts import PIECE_BYTES

ZIP_FILE = b"PK"
# Signature of a compound file: an .xls workbook, an encrypted workbook, or an old document.
COMPOUND_FILE = b"\xd0\xcf\x11\xe0"
ENCRYPTED_STREAM = "EncryptedPackage".encode("utf-16-le")
DOCUMENT_STREAMS = ["WordDocument".encode("utf-16-le"), "PowerPoint Document".encode("utf-16-le")]
ODS_TYPE = b"application/vnd.oasis.opendocument.spreadsheet"
TEXT_EXITS = {
    ".csv": Exit.CSV, ".tsv": Exit.CSV, ".tab": Exit.CSV, ".txt": Exit.CSV,
    ".ndjson": Exit.NDJSON, ".jsonl": Exit.NDJSON,
}  # fmt: skip
# What systems put into an archive beside the files of a person.
SYSTEM_FOLDER = "__MACOSX/"
SYSTEM_FILES = frozenset({".ds_store", "thumbs.db", "desktop.ini"})
APPLE_DOUBLE = "._"
ENCRYPTED_FLAG = 1


def write_file(file: IO[bytes], out: IO[bytes], limits: Limits, *, is_inside: bool = False) -> Exit | None:
    """Write the rows of a workbook, or the text file of an archive, whose exit code is returned.

    Raises ``Stopped`` for what is neither; ``is_inside`` an archive there is no other.
    """
    file.seek(0)
    signature = file.read(len(COMPOUND_FILE))
    file.seek(0)
    if signature.startswith(ZIP_FILE):
        try:
            with ZipFile(file) as archive:
                return _write_archive(archive, file, out, limits, is_inside=is_inside)
        except (BadZipFile, EOFError, NotImplementedError):
            raise Stopped(Exit.UNREADABLE) from None
    if signature != COMPOUND_FILE:
        raise Stopped(Exit.OTHER_FILE if is_inside else Exit.UNREADABLE)
    content = file.read()
    if ENCRYPTED_STREAM in content:
        raise Stopped(Exit.PASSWORD)
    if any(each in content for each in DOCUMENT_STREAMS):
        raise Stopped(Exit.DOCUMENT)
    _write_by_calamine(file, "xls", out, limits)
    return None


def _write_archive(
    archive: ZipFile, file: IO[bytes], out: IO[bytes], limits: Limits, *, is_inside: bool
) -> Exit | None:
    names = {each.lower() for each in archive.namelist()}
    if "[content_types].xml" in names:
        if any(each.flag_bits & ENCRYPTED_FLAG for each in archive.infolist()):
            raise Stopped(Exit.PASSWORD)
        write_xlsx(archive, out, limits)
    elif "mimetype" in names and "content.xml" in names:
        _check_open_document(archive)
        _write_by_calamine(file, "ods", out, limits)
    elif any(each.endswith(".iwa") or each == "index.zip" for each in names):
        raise Stopped(Exit.NUMBERS)
    elif is_inside:
        raise Stopped(Exit.NESTED_ARCHIVE)
    else:
        return _write_only_file(archive, out, limits)
    return None


def _check_open_document(archive: ZipFile) -> None:
    """Raise ``Stopped`` unless an OpenDocument file is a spreadsheet without a password."""
    with archive.open("mimetype") as part:
        if not part.read(len(ODS_TYPE)).startswith(ODS_TYPE):
            raise Stopped(Exit.DOCUMENT)
    if "META-INF/manifest.xml" in archive.namelist():
        with archive.open("META-INF/manifest.xml") as part:
            if b"encryption-data" in part.read(PIECE_BYTES):
                raise Stopped(Exit.PASSWORD)


def _write_only_file(archive: ZipFile, out: IO[bytes], limits: Limits) -> Exit | None:
    found = _files_of_a_person(archive.infolist())
    if len(found) != 1:
        raise Stopped(Exit.MANY_FILES if found else Exit.EMPTY_ARCHIVE)
    only = found[0]
    if only.flag_bits & ENCRYPTED_FLAG:
        raise Stopped(Exit.PASSWORD)
    with archive.open(only) as part:
        text_exit = TEXT_EXITS.get(posixpath.splitext(only.filename.lower())[1])
        start = part.read(len(COMPOUND_FILE))
        if start == COMPOUND_FILE or start.startswith(ZIP_FILE + b"\3\4"):
            return write_file(io.BytesIO(start + part.read()), out, limits, is_inside=True)
        if text_exit is None:
            raise Stopped(Exit.OTHER_FILE)
        out.write(start)
        while piece := part.read(PIECE_BYTES):
            out.write(piece)
    return text_exit


def _files_of_a_person(members: Sequence[ZipInfo]) -> list[ZipInfo]:
    return [
        each
        for each in members
        if not each.is_dir()
        and not each.filename.startswith(SYSTEM_FOLDER)
        and posixpath.basename(each.filename).lower() not in SYSTEM_FILES
        and not posixpath.basename(each.filename).startswith(APPLE_DOUBLE)
    ]


def _write_by_calamine(file: IO[bytes], file_format: str, out: IO[bytes], limits: Limits) -> None:
    from app.bulk_uploads.readers.workbook_process.calamine_sheets import (  # noqa: PLC0415 - XLSX goes without it
        write_calamine,
    )

    file.seek(0)
    write_calamine(file, file_format, out, limits)

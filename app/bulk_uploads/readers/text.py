"""Layout of a text file from its first bytes, and its text as UTF-8 with LF line ends."""

import codecs
import re
from collections.abc import Callable, Sequence

from app.bulk_uploads.errors import CsvMalformed, NdjsonMalformed
from app.bulk_uploads.readers.columns import SEPARATORS
from app.bulk_uploads.readers.csv import SEPARATOR_LINE, read_records
from app.bulk_uploads.readers.format import HEAD_BYTES
from app.bulk_uploads.readers.header import Header, find_header, missing_header
from app.bulk_uploads.readers.layout import NDJSON_LAYOUT, Layout
from app.bulk_uploads.readers.rows import BYTE_ORDER_MARK, MAX_RECORD_BYTES
from app.bulk_uploads.rules import Encoding, UploadFormat, UploadOptions
from app.core.errors import Invalid, InvalidValue

MALFORMED: dict[str, type[Invalid]] = {UploadFormat.CSV: CsvMalformed, UploadFormat.NDJSON: NdjsonMalformed}
SAVE_AS = "In the spreadsheet: Save as CSV UTF-8."
UTF_32 = "utf-32"
MARKS = (
    (codecs.BOM_UTF32_LE, UTF_32),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, UTF_32),
    (codecs.BOM_UTF8, Encoding.UTF_8),
    (codecs.BOM_UTF16_LE, Encoding.UTF_16),
    (codecs.BOM_UTF16_BE, Encoding.UTF_16),
)
# Byte order of UTF-16 without a mark, by the place of the NULs.
UTF_16_LE, UTF_16_BE = "utf-16-le", "utf-16-be"
# Parts of the bytes that are NUL: one of two for each Latin letter in UTF-16, three of four in UTF-32. A damaged cell
# has a few, which refuse its row.
MIN_NULS_OF_UTF_32, MIN_NULS_OF_UTF_16, MAX_STRAY_NULS = 0.6, 0.05, 0.01
# Other files, by their first bytes, that were saved or sent as CSV.
OTHER_FILES = (
    (rb"<(?:!doctype html|html|head|body|table|meta|style|script|div)\b", "a web page"),
    (rb"<[?!a-z]", "an XML document"),
    (rb"\{\\rtf", "a text document (RTF)"),
    (rb"%pdf-", "a PDF document"),
    (rb"mime-version:", "a web archive"),
    (rb"pk\x03\x04", "a workbook or ZIP archive"),
    (rb"\xd0\xcf\x11\xe0", "an old Excel workbook (.xls)"),
)
JSON_START = re.compile(rb'[\[{]\s*["{\[\]}]')
# Windows-1252 as browsers read it (WHATWG): its five undefined bytes are control characters.
WINDOWS_1252 = "".join(bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in range(256))
LINE_BYTES = MAX_RECORD_BYTES + 1
WINDOWS_1256 = bytes(range(256)).decode("cp1256")


class TextNormalizer:
    """Turns the bytes of a text file into UTF-8 without byte-order marks, part by part.

    Line ends of CSV, which may be CR, LF or CRLF, become LF, and its lines are cut to ``LINE_BYTES``, by which they are
    refused. Bytes that are not UTF-8 stay as they are, and lone surrogates of UTF-16 become U+FFFD.
    """

    def __init__(self, encoding: str | None, upload_format: str) -> None:
        self._transcode = _transcoder(encoding or Encoding.UTF_8)
        self._is_csv = upload_format == UploadFormat.CSV
        self._held = b""
        self._has_begun = False
        self._line_bytes = 0  # of the last line so far

    def feed(self, part: bytes) -> bytes:
        """Return the text of one more part."""
        return self._normalize(self._transcode(part, False), is_last=False)

    def finish(self) -> bytes:
        """Return the text that was held back, at the end."""
        return self._normalize(self._transcode(b"", True), is_last=True)

    def _normalize(self, text: bytes, *, is_last: bool) -> bytes:
        text, self._held = self._held + text if self._held else text, b""
        if not self._has_begun:
            begin = 0
            while text.startswith(BYTE_ORDER_MARK, begin):
                begin += len(BYTE_ORDER_MARK)
            text = text[begin:]
            if not is_last and BYTE_ORDER_MARK.startswith(text):
                self._held = text
                return b""
            self._has_begun = True
        if self._is_csv and b"\r" in text:
            if not is_last and text.endswith(b"\r"):
                text, self._held = text[:-1], b"\r"
            text = text.replace(b"\r\n", b"\n")
            if b"\r" in text:
                text = text.replace(b"\r", b"\n")
        return self._cut_lines(text) if self._is_csv else text

    def _cut_lines(self, text: bytes) -> bytes:
        """Cut long lines, so that nothing that reads a row has to hold one."""
        kept: list[bytes] = []
        at = last = 0  # ``last``: begin of what is not in ``kept``
        while at < len(text):
            reach = at + LINE_BYTES - self._line_bytes
            newline = text.rfind(b"\n", at, reach + 1)
            if newline < 0 and reach < len(text):
                kept.append(text[last:reach])
                newline = text.find(b"\n", reach)
                last = len(text) if newline < 0 else newline
            if newline < 0:
                self._line_bytes = min(LINE_BYTES, self._line_bytes + len(text) - at)
                break
            at, self._line_bytes = newline + 1, 0
        return b"".join([*kept, text[last:]]) if kept else text


def _transcoder(encoding: str) -> Callable[[bytes, bool], bytes]:
    """Return the function from a part, and True for the last one, to UTF-8."""
    if encoding == Encoding.UTF_8:
        return lambda part, _: part
    if encoding in (Encoding.WINDOWS_1252, Encoding.WINDOWS_1256):
        characters = WINDOWS_1252 if encoding == Encoding.WINDOWS_1252 else WINDOWS_1256
        return lambda part, _: codecs.charmap_decode(part, "strict", characters)[0].encode()
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    return lambda part, is_last: decoder.decode(part, is_last).encode()


def has_last_line_end(tail: bytes) -> bool:
    """True when a text with these last two bytes ends with a line end, in UTF-8 or UTF-16."""
    return tail.endswith((b"\n", b"\r", b"\n\0", b"\r\0"))


def describe_text(head: bytes, upload_format: str, options: UploadOptions) -> Layout:
    """Return the layout of a CSV or NDJSON file from its first bytes, of which ``HEAD_BYTES`` are looked at.

    Raises the malformed error of the format, and ``Invalid`` for wrong columns and options that contradict the file.
    """
    head = head[:HEAD_BYTES]
    malformed = MALFORMED[upload_format]
    if upload_format == UploadFormat.CSV:
        _refuse_other_files(head)
    encoding = _find_encoding(head, options.encoding, malformed)
    normalizer = TextNormalizer(encoding, upload_format)
    text = normalizer.feed(head) + normalizer.finish()
    content = text.lstrip()
    if not content:
        raise malformed(
            "The file is empty: it needs a header row." if malformed is CsvMalformed else "The file is empty."
        )
    if upload_format == UploadFormat.NDJSON:
        if not content.startswith(b"{"):
            raise NdjsonMalformed("The file does not begin with a JSON object.")
        return NDJSON_LAYOUT._replace(encoding=encoding, ignored_columns=list(options.ignore_columns))
    _refuse_other_files(content)
    separator, header = _find_separator(text, options.ignore_columns)
    return Layout(encoding, separator, [header.table()], header.ignored_columns)


def _refuse_other_files(content: bytes) -> None:
    """Raise ``CsvMalformed`` for a file of another kind that was saved or sent as CSV."""
    start = content[:HEAD_BYTES].lstrip()[:200].lower()
    if kind := next((kind for pattern, kind in OTHER_FILES if re.match(pattern, start)), None):
        remedy = "Open it in the spreadsheet and save it as .xlsx or CSV UTF-8."
        raise CsvMalformed(f"This is {kind} that was named or sent as CSV. {remedy}")
    if JSON_START.match(start):
        raise CsvMalformed("This is JSON that was sent as CSV: send one object a line as application/x-ndjson.")


def _find_encoding(head: bytes, option: str | None, malformed: type[Invalid]) -> str:
    """Return the encoding; raise when it is none that is read, or another than the option says."""
    remedy = SAVE_AS if malformed is CsvMalformed else "Send UTF-8."
    found, evidence = _encoding_of_bytes(head)
    if found == UTF_32:
        raise malformed(f"The file {evidence}, which is not read. {remedy}")
    if found is None and head.count(0) > len(head) * MAX_STRAY_NULS:
        raise malformed(f"The file has NUL characters, as damaged files have, and those that are no text. {remedy}")
    if option is None:
        return found or Encoding.UTF_8
    if found is None and not head.isascii() and _is_utf_8(head):
        found, evidence = Encoding.UTF_8, "has letters that are valid UTF-8"
    if (found and not found.startswith(option)) or (option == Encoding.UTF_16 and not found):
        file = f"the file {evidence}" if found else "the file has no byte-order mark and no NUL characters of UTF-16"
        detail = f"The option encoding says {option}, but {file}. Leave the option out, or send what it says."
        raise Invalid.of([InvalidValue.at("/query/encoding", detail)])
    return found or option


def _encoding_of_bytes(head: bytes) -> tuple[str | None, str]:
    """Return the encoding that a byte-order mark or NULs tell, if any, and the words for what tells it."""
    for mark, encoding in MARKS:
        if head.startswith(mark):
            return encoding, f"begins with the byte-order mark of {encoding.upper()}"
    even, odd = head[::2].count(0), head[1::2].count(0)
    if even + odd > len(head) * MIN_NULS_OF_UTF_32:
        return UTF_32, f"has the NUL characters of {UTF_32.upper()}"
    for count, other, encoding in ((odd, even, UTF_16_LE), (even, odd, UTF_16_BE)):
        if count > len(head) * MIN_NULS_OF_UTF_16 and other <= count * MAX_STRAY_NULS:
            return encoding, f"has the NUL characters of {encoding.upper()}"
    return None, ""


def _is_utf_8(head: bytes) -> bool:
    """True for valid UTF-8, which may be cut when the head is not the whole file."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, len(head) < HEAD_BYTES)
    except UnicodeDecodeError:
        return False
    return True


def _find_separator(text: bytes, ignore_columns: Sequence[str]) -> tuple[str, Header]:
    """Return the one separator that gives a header, and that header. Raises ``Invalid`` with all errors of a header."""
    found = {each: header for each in SEPARATORS if (header := _find_header(text, each, ignore_columns))}
    whole = {each: header for each, header in found.items() if header.is_whole}
    said = SEPARATOR_LINE.fullmatch(text.partition(b"\n")[0].decode("utf-8", "replace"))
    if said and (said[1] not in SEPARATORS or (whole and said[1] not in whole)):
        but = "".join(f", but the columns are separated by {SEPARATORS[each]}" for each in whole)
        raise CsvMalformed(f"The first line says {said[0].strip()!r}{but}. Write there , ; | or a tab, as it is.")
    if said:
        found = {each: header for each, header in found.items() if each == said[1]}
    elif len(whole) > 1:
        ways = " and ".join(f"in row {header.row} by {SEPARATORS[each]}" for each, header in whole.items())
        raise CsvMalformed(f"The file has two headers, separated {ways}. Leave one of them, with the rows under it.")
    if not found:
        raise Invalid.of([missing_header()])
    separator, header = max(found.items(), key=lambda pair: (pair[1].is_whole, pair[1].known))
    if header.errors:
        raise Invalid.of(header.errors)
    return separator, header


def _find_header(text: bytes, separator: str, ignore_columns: Sequence[str]) -> Header | None:
    rows = read_records([text], separator)
    return find_header(((row.row, row.cells) for row in rows), ignore_columns)

"""The encoding and separator of a text file follow from rules, and what could be read in two ways is refused."""

import codecs
from collections.abc import Iterable, Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.bulk_uploads.errors import CsvMalformed, NdjsonMalformed
from app.bulk_uploads.readers import text
from app.bulk_uploads.readers.columns import SEPARATORS
from app.bulk_uploads.readers.format import HEAD_BYTES
from app.bulk_uploads.readers.rows import BYTE_ORDER_MARK
from app.bulk_uploads.readers.text import TextNormalizer, describe_text, has_last_line_end
from app.bulk_uploads.rules import COLUMNS, UploadOptions
from app.core.errors import Invalid
from tests.support.text_files import HEADER, file, line, read

NAMED = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
UTF_16_LE, UTF_16_BE = codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE


def refusal(body: bytes, encoding: str | None = None, upload_format: str = "csv") -> Invalid:
    with pytest.raises(Invalid) as refused:
        describe_text(body, upload_format, UploadOptions(encoding=encoding))
    return refused.value


def normalize(parts: Iterable[bytes], encoding: str = "utf-8", upload_format: str = "csv") -> bytes:
    normalizer = TextNormalizer(encoding, upload_format)
    return b"".join(map(normalizer.feed, parts)) + normalizer.finish()


def split(body: bytes, at: Iterable[int]) -> Iterator[bytes]:
    offsets = [0, *sorted(each % (len(body) + 1) for each in at), len(body)]
    return (body[begin:end] for begin, end in pairwise(offsets))


@pytest.mark.parametrize(
    "body",
    [b"", b"\r\n \n", BYTE_ORDER_MARK, BYTE_ORDER_MARK * 2 + b"\n", UTF_16_LE, UTF_16_BE + b"\x00\n"],
    ids=["no bytes", "blank lines", "a mark", "two marks", "UTF-16", "UTF-16 BE"],
)
@pytest.mark.parametrize(("upload_format", "malformed"), [("csv", CsvMalformed), ("ndjson", NdjsonMalformed)])
def test_an_empty_file_is_refused(body: bytes, upload_format: str, malformed: type[Invalid]) -> None:
    refused = refusal(body, upload_format=upload_format)
    assert (type(refused), "empty" in refused.detail) == (malformed, True)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<!DOCTYPE html><table>", "a web page"),
        (b"\xef\xbb\xbf \r\n<HTML><body>", "a web page"),
        ("<html>".encode("utf-16"), "a web page"),
        (b'<?xml version="1.0"?><Workbook>', "an XML document"),
        (b"{\\rtf1\\ansi", "RTF"),
        (b"%PDF-1.7", "PDF"),
        (b"MIME-Version: 1.0", "a web archive"),
        (b"PK\x03\x04\x14\x00\x00\x00", "a workbook or ZIP archive"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(50), "an old Excel workbook"),
        (b'{"track": "vpn_company"}\n', "application/x-ndjson"),
        (b'[{"track": "vpn_company"}]', "application/x-ndjson"),
    ],
)
def test_another_kind_of_file_is_refused_with_its_name_and_what_to_do(body: bytes, kind: str) -> None:
    refused = refusal(body)
    assert isinstance(refused, CsvMalformed)
    assert kind in refused.detail
    assert "CSV UTF-8" in refused.detail or "one object a line" in refused.detail


def test_ndjson_begins_with_an_object() -> None:
    for body in (HEADER.encode(), b"[1]\n"):
        assert isinstance(refusal(body, upload_format="ndjson"), NdjsonMalformed)


@pytest.mark.parametrize("encoding", ["utf-32", "utf-32-le", "utf-32-be"])
def test_utf_32_is_refused(encoding: str) -> None:
    refused = refusal(file(line("A")).decode().encode(encoding))
    assert "UTF-32" in refused.detail
    assert "Save as CSV UTF-8" in refused.detail


def test_a_file_of_nuls_is_refused_as_damaged() -> None:
    assert "NUL" in refusal(file(line("A")) + bytes(5_000)).detail


def test_a_stray_nul_is_a_character_of_its_cell() -> None:
    assert read(file(line("A", legal_name="Al\x00pha"), line("B"))).cells[0]["legal_name"] == "Al\x00pha"


@pytest.mark.parametrize(
    ("body", "option", "words"),
    [
        (BYTE_ORDER_MARK + file(line("A")), "windows-1252", "mark of UTF-8"),
        (BYTE_ORDER_MARK + file(line("A")), "utf-16", "mark of UTF-8"),
        (file(line("A")).decode().encode("utf-16"), "utf-8", "mark of UTF-16"),
        (file(line("A")).decode().encode("utf-16-le"), "windows-1256", "NUL characters of UTF-16-LE"),
        (file(line("A", legal_name="Café")), "windows-1252", "valid UTF-8"),
        (file(line("A")), "utf-16", "no byte-order mark"),
    ],
)
def test_an_encoding_that_contradicts_the_bytes_is_refused_with_both(body: bytes, option: str, words: str) -> None:
    refused = refusal(body, option)
    assert [(each.pointer, each.code) for each in refused.errors] == [("/query/encoding", "invalid_value")]
    assert option in refused.detail
    assert words in refused.detail


def test_a_file_without_header_is_refused_without_repeating_its_cells() -> None:
    refused = refusal(file(header=line("A")))
    assert [(each.pointer, each.code) for each in refused.errors] == [("/columns", "invalid_value")]
    assert "alpha" not in refused.detail.lower()


def test_each_wrong_column_is_an_error() -> None:
    refused = refusal(file(header=f"S.No;{HEADER.replace(',', ';')};networks;Remarks;email", end="\n"))
    assert [each.pointer for each in refused.errors] == ["/columns/0", "/columns/12", "/columns/13"]
    assert "Column M 'Remarks'" in refused.errors[1].detail


def test_two_headers_with_other_separators_are_refused_with_both() -> None:
    refused = refusal(file(line("A"), HEADER.replace(",", ";"), line("B", ";")))
    assert "in row 1 by commas and in row 3 by semicolons" in refused.detail


def test_a_separator_line_that_contradicts_the_header_is_refused_with_both() -> None:
    for said in (";", ":"):
        refused = refusal(f"sep={said}\n".encode() + file(line("A")))
        assert f"'sep={said}'" in refused.detail
        assert "separated by commas" in refused.detail


@pytest.mark.parametrize("separator", SEPARATORS)
@pytest.mark.parametrize("sep_line", ["", "sep={}\r\n", '"SEP={}"\n'])
def test_a_file_is_read_by_the_separator_of_its_header(separator: str, sep_line: str) -> None:
    said = sep_line.format(separator)
    header = HEADER.replace(",", separator)
    found = read(said.encode() + file(line("A", separator), line("B", separator), header=header))
    assert (found.layout.separator, found.layout.tables[0].header_row) == (separator, 1)
    lines = 2 + bool(said)
    assert [(row.line, row.row) for row in found.rows] == [(lines, 2), (lines + 1, 3)]
    assert found.references == ["A", "B"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
@pytest.mark.parametrize("name", ["Alpha Ltd", "سندھ زینب"])
def test_unicode_and_every_line_end_are_read_by_marks_and_nuls(encoding: str, end: str, name: str) -> None:
    found = read(file(line("A", legal_name=name), line("B"), end=end).decode().encode(encoding))
    assert (found.references, found.cells[0]["legal_name"]) == (["A", "B"], name)
    assert (found.layout.encoding or "").startswith(encoding[:5].rstrip("-"))
    assert b"\r" not in found.text


def test_a_byte_order_mark_may_be_there_twice() -> None:
    assert read(BYTE_ORDER_MARK * 2 + file(line("A"))).references == ["A"]
    assert read(UTF_16_LE * 2 + file(line("A")).decode().encode("utf-16-le")).references == ["A"]


def test_other_bytes_are_read_as_the_option_says() -> None:
    body = file(line("A", legal_name="Café Müller\u2013Ltd"), line("B")).decode().encode("cp1252")
    unsaid = read(body)
    assert unsaid.references == ["B"]
    assert "Save as CSV UTF-8" in unsaid.errors[2][0]
    assert read(body, UploadOptions(encoding="windows-1252")).cells[0]["legal_name"] == "Café Müller\u2013Ltd"
    urdu = file(line("A", legal_name="سندھ پاک")).decode().encode("cp1256", "ignore")
    assert read(urdu, UploadOptions(encoding="windows-1256")).cells[0]["legal_name"] == "سندھ پاک"


def test_a_file_that_ends_with_its_only_letter_beyond_ascii_is_no_utf_8() -> None:
    body = (HEADER + "\n" + line("A") + "Café").encode("cp1252")
    assert read(body, UploadOptions(encoding="windows-1252")).cells[0]["description"] == "Café"


def test_undefined_bytes_of_windows_1252_are_control_characters() -> None:
    everything = bytes(range(0x80, 0x100))
    text = normalize([everything], "windows-1252").decode()
    assert len(text) == len(everything)
    assert [text[byte - 0x80] for byte in (0x81, 0x8D, 0x8F, 0x90, 0x9D)] == ["\x81", "\x8d", "\x8f", "\x90", "\x9d"]
    assert len(normalize([everything], "windows-1256").decode()) == len(everything)


def test_lone_surrogates_of_utf_16_become_replacement_characters() -> None:
    broken = "ab\ud800c".encode("utf-16-le", "surrogatepass") + b"\x00"
    assert normalize([broken], "utf-16-le").decode() == "ab\ufffdc\ufffd"


def test_the_header_may_come_after_titles_and_blank_lines() -> None:
    title = '\n"Members, of the\nassociation",,\n,,,\n'
    found = read(title.encode() + file(line("A"), line("B")))
    assert found.layout.tables[0].header_row == 4
    assert [(row.line, row.row) for row in found.rows] == [(6, 5), (7, 6)]


def test_a_file_with_a_header_only_has_a_layout() -> None:
    for body in (file(), HEADER.encode()):
        assert read(body).rows == []


def test_no_more_than_the_head_of_a_file_is_looked_at() -> None:
    late = b"\n" * HEAD_BYTES + file(line("A"))
    assert "empty" in refusal(late).detail


def test_ndjson_of_any_unicode_has_the_columns_in_their_order() -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        layout = describe_text('{"track": "x"}\n'.encode(encoding), "ndjson", UploadOptions(ignore_columns=("note",)))
        assert (layout.separator, layout.columns, list(layout.ignored_columns)) == (None, list(COLUMNS), ["note"])
        assert (layout.encoding or "").startswith(encoding[:5].rstrip("-"))


def test_a_last_line_without_end_is_told() -> None:
    for body in ("a\nb\n", "a\rb\r", "a\r\n"):
        for encoding in ("utf-8", "utf-16-le", "utf-16-be", "cp1252"):
            assert has_last_line_end(body.encode(encoding)[-2:])
            assert not has_last_line_end((body + "c").encode(encoding)[-2:])


@given(st.lists(st.sampled_from([0, 1, 5, 8, 9, 10, 30]), max_size=8), st.lists(st.integers(0, 90), max_size=5))
def test_long_lines_are_cut_to_one_byte_more_than_a_row_may_have_wherever_parts_end(
    lengths: list[int], at: list[int]
) -> None:
    body = b"".join(b"x" * length + b"\n" for length in lengths)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "LINE_BYTES", 9)
        assert normalize(split(body, at)) == b"".join(b"x" * min(length, 9) + b"\n" for length in lengths)


def test_carriage_returns_of_ndjson_stay() -> None:
    assert normalize([b"{}\r\n", b"{}\r"], upload_format="ndjson") == b"{}\r\n{}\r"


@given(
    text=st.text(st.sampled_from('a,"\r\n\ufeffé\U0001f600 '), max_size=30),
    at=st.lists(st.integers(0, 99), max_size=5),
    encoding=st.sampled_from(["utf-8", "utf-16", "utf-16-le", "utf-16-be"]),
)
def test_parts_make_no_difference(text: str, at: list[int], encoding: str) -> None:
    body = text.encode(encoding)
    expected = text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n").encode()
    assert normalize(split(body, at), encoding) == normalize([body], encoding) == expected


@given(body=st.binary(max_size=60), at=st.lists(st.integers(0, 60), max_size=4),
       encoding=st.sampled_from(["utf-8", "utf-16-le", "windows-1252", "windows-1256"]))  # fmt: skip
def test_any_bytes_are_described_or_refused_and_normalized(body: bytes, at: list[int], encoding: str) -> None:
    assert normalize(split(body, at), encoding) == normalize([body], encoding)
    try:
        describe_text(body, "csv", UploadOptions())
    except Invalid as refused:
        assert refused.detail.encode()  # noqa: PT017 - either outcome is right

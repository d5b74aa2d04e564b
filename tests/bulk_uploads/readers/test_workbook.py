"""A workbook or an archive is opened within limits of memory, time and output, and refused in plain words."""

import resource
from collections.abc import Callable

import pytest

from app.bulk_uploads.errors import XlsxMalformed, XlsxTooLarge
from app.bulk_uploads.readers import workbook as reading
from app.bulk_uploads.receiving import content_encoding
from tests.support import workbooks

CSV = b"reference,track\nF-1,vpn_company\n"


def opens_within_its_memory(body: bytes) -> workbooks.Opened:
    """Convert a workbook and check that this process takes no memory for it."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        return workbooks.opened(body)
    finally:
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024  # KiB


@pytest.mark.parametrize(
    "bomb", [workbooks.many_texts, workbooks.one_text_without_end, workbooks.long_text_repeated, workbooks.deep]
)
def test_a_bomb_is_refused_and_takes_no_memory_of_the_reader(
    monkeypatch: pytest.MonkeyPatch, bomb: Callable[[], bytes]
) -> None:
    monkeypatch.setattr(reading, "MEMORY_BYTES", 96 * 1024 * 1024)
    body = bomb()
    with pytest.raises(XlsxTooLarge, match=r"clear the cells beyond the table\. Otherwise save it as CSV UTF-8"):
        opens_within_its_memory(body)


def test_entities_are_refused() -> None:
    with pytest.raises(XlsxMalformed, match="damaged"):
        opens_within_its_memory(workbooks.entities())


@pytest.mark.parametrize("body", [workbooks.far_corner, workbooks.blanks])
def test_blank_cells_cost_nothing(monkeypatch: pytest.MonkeyPatch, body: Callable[[], bytes]) -> None:
    monkeypatch.setattr(reading, "MEMORY_BYTES", 96 * 1024 * 1024)
    assert len(opens_within_its_memory(body()).rows) <= 2


def test_a_cell_far_below_the_table_of_an_old_workbook_is_refused_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reading, "MEMORY_BYTES", 160 * 1024 * 1024)
    rows = '<table:table-row table:number-rows-repeated="900000"><table:table-cell/></table:table-row>'
    cell = '<table:table-cell office:value-type="string"><text:p>a</text:p></table:table-cell>'
    wide = f'<table:table-row><table:table-cell table:number-columns-repeated="25"/>{cell}</table:table-row>'
    with pytest.raises(XlsxTooLarge, match="clear the cells beyond the table"):
        workbooks.opened(workbooks.ods_of_xml(f"<table:table-row>{cell}</table:table-row>{rows}{wide}"))


@pytest.mark.parametrize(("limit", "least"), [("CPU_SECONDS", 0), ("WALL_SECONDS", 0.001), ("OUTPUT_BYTES", 4096)])
def test_time_and_output_are_limited_too(monkeypatch: pytest.MonkeyPatch, limit: str, least: float) -> None:
    monkeypatch.setattr(reading, limit, least)
    with pytest.raises(XlsxTooLarge):
        workbooks.opened(workbooks.of_table(*[[f"R{i}", "vpn_company", "company"] for i in range(400)]))


def test_the_output_is_limited_like_a_compressed_body(monkeypatch: pytest.MonkeyPatch) -> None:
    workbook = workbooks.of_table(*[[f"R{i}", "x" * 2_000] for i in range(2_000)])
    archive = workbooks.archive_of({"a.csv": CSV * 40_000})
    assert workbooks.opened(workbook)
    assert workbooks.opened(archive)
    monkeypatch.setattr(content_encoding, "MAX_RATIO", 1)
    monkeypatch.setattr(content_encoding, "ALWAYS_ALLOWED_BYTES", 100_000)
    for body in (workbook, archive):
        with pytest.raises(XlsxTooLarge):
            workbooks.opened(body)


def test_a_row_over_64_kib_is_refused_by_its_cells_and_the_others_are_read() -> None:
    body = workbooks.of_table(
        ["a", "b", "c"], ["دفتر" * 2_000, "1", "2"], ["x" * 32_000, "y" * 32_000, "z" * 32_000], ["1"]
    )
    opened = workbooks.opened(body)
    assert max(map(len, opened.lines.splitlines())) < 65_536
    assert [row[1:3] for row in opened.rows[:2]] == [[1, ["a", "b", "c"]], [2, ["دفتر" * 2_000, "1", "2"]]]
    assert opened.rows[2][3] == [
        [0, "A3 has 32,000 characters: the row is too long."],
        [1, "B3 has 32,000 characters: the row is too long."],
        [2, "C3 has 32,000 characters: the row is too long."],
    ]
    assert opened.rows[3] == [0, 4, ["1"]]


def test_excess_cells_of_a_row_are_joined() -> None:
    opened = workbooks.opened(workbooks.of_table(["a"], ["1"] * 1_000))
    assert opened.rows[1][2] == ["1"] * 256 + [" ".join(["1"] * (1_000 - 256))]


@pytest.mark.parametrize("cut", [4, 100, 2_000, -10])
def test_a_workbook_that_is_cut_short_is_refused(cut: int) -> None:
    with pytest.raises(XlsxMalformed, match="damaged, cut short or not one"):
        workbooks.opened(workbooks.of_table(["a"])[:cut])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"reference,track\n",
        b"PK\x03\x04",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
        workbooks.of_xml("<row><c></row>"),
        workbooks.of_xml('<row r="2"/><row r="1"/>'),
        workbooks.of_xml('<row r="1"><c r="!1"><v>1</v></c></row>'),
        workbooks.of_xml('<row r="1"><c r="XFE1"><v>1</v></c></row>'),
        workbooks.without(workbooks.of_table(["a"]), "xl/worksheets/sheet1.xml"),
        workbooks.without(workbooks.of_table(["a"]), "_rels/.rels"),
    ],
)
def test_a_file_that_is_not_a_workbook_is_refused(body: bytes) -> None:
    with pytest.raises(XlsxMalformed, match=r"cannot be opened as a workbook.*Save As"):
        workbooks.opened(body)


MAIN_PART = '<Relationship Type="x/officeDocument" Target="{}" Id="a"/>'


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (workbooks.encrypted(), "has a password. Take the password off"),
        (workbooks.archive_of({"a.csv": CSV, "b.csv": CSV}), "more than one file"),
        (workbooks.archive_of({}), "has no file"),
        (workbooks.archive_of({"a/": b"", "__MACOSX/._a.csv": b"", "a/.DS_Store": b""}), "has no file"),
        (workbooks.archive_of({"a.pdf": b"%PDF"}), r"not CSV \(.csv\), NDJSON \(.ndjson\) or a workbook"),
        (workbooks.archive_of({"a.zip": workbooks.archive_of({"a.csv": CSV})}), "another archive in it"),
        (workbooks.archive_of({"a.csv": workbooks.archive_of({"a.csv": CSV})}), "another archive in it"),
        (workbooks.archive_of({"Index/Document.iwa": b""}), "Numbers.*Export To, Excel"),
        (workbooks.of_main_part("xl/workbook.bin"), "Excel Binary Workbook.*Save As"),
        (workbooks.of_main_part("word/document.xml"), "text document or a presentation"),
        (
            workbooks.archive_of({"mimetype": b"application/vnd.oasis.opendocument.text", "content.xml": b""}),
            "text document or a presentation",
        ),
        (workbooks.of_sheets(*[(f"S{i}", lambda *_: None) for i in range(101)]), "more than 100 sheets"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_to_do(body: bytes, words: str) -> None:
    with pytest.raises(XlsxMalformed, match=words):
        workbooks.opened(body)


def test_an_archive_behind_a_password_is_refused() -> None:
    body = workbooks.archive_of({"a.csv": CSV})
    directory = body.index(b"PK\x01\x02")
    flagged = body[:6] + b"\x01\0" + body[8 : directory + 8] + b"\x01\0" + body[directory + 10 :]
    with pytest.raises(XlsxMalformed, match="password"):
        workbooks.opened(flagged)


@pytest.mark.parametrize("name", ["list.csv", "List.CSV", "a/list.tsv", "list.txt"])
def test_the_only_text_file_of_an_archive_is_written_as_it_is(name: str) -> None:
    system_files = {
        "__MACOSX/._list.csv": b"x",
        "a/._list.csv": b"x",
        ".DS_Store": b"x",
        "a/Thumbs.db": b"x",
        "a/": b"",
    }
    opened = workbooks.opened(workbooks.archive_of({**system_files, name: CSV}))
    assert (opened.converted.format, opened.lines) == ("csv", CSV)


@pytest.mark.parametrize("name", ["list.ndjson", "list.jsonl"])
def test_the_only_ndjson_file_of_an_archive_is_written_as_it_is(name: str) -> None:
    opened = workbooks.opened(workbooks.archive_of({name: b'{"track": "x"}\n'}))
    assert (opened.converted.format, opened.lines) == ("ndjson", b'{"track": "x"}\n')


@pytest.mark.parametrize("suffix", ["xlsx", "ods", "xls"])
def test_the_only_workbook_of_an_archive_is_read(suffix: str) -> None:
    body = workbooks.libreoffice_file(f"mended.{suffix}")
    inside = workbooks.opened(workbooks.archive_of({f"mended.{suffix}": body}))
    assert inside == workbooks.opened(body)
    assert inside.converted.format == suffix

"""Files as people make them are taken in their one meaning and told, or refused with what to write instead."""

import csv
import io
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from app.bulk_uploads.rules import COLUMNS, FORMAT_OF_TYPE
from tests.support import cases, uploads, workbooks
from tests.support.service import Caller

Row = dict[str, str]
CSV = "text/csv"
TYPES = {upload_format.value: media_type for media_type, upload_format in FORMAT_OF_TYPE.items()}


def text(rows: list[Row], separator: str = ",", end: str = "\r\n", **options: Any) -> str:
    """Return rows as CSV text, with the header in ``header`` if it is given."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=separator, lineterminator=end, quoting=options.get("quoting", csv.QUOTE_MINIMAL))
    writer.writerow(options.get("header", COLUMNS))
    writer.writerows([row.get(name, "") for name in COLUMNS] for row in rows)
    return out.getvalue()


async def upload(caller: Caller, body: bytes, media_type: str = CSV, query: str = "") -> dict[str, Any]:
    """Send a file, ingest it, and return the upload with its ``rows``."""
    sent = await caller.post(f"/v1/bulk-uploads?{query}", content=body, headers={"Content-Type": media_type})
    assert sent.status_code == 202, sent.text
    await caller.service.ingest_all()
    done = (await caller.get(sent.headers["Location"])).json()
    assert done["status"] == "completed", done["problem"]
    return {**done, "rows": (await caller.get(f"{sent.headers['Location']}/rows?limit=100")).json()["items"]}


def outcomes(done: dict[str, Any]) -> list[tuple[int, str, list[tuple[str, str]]]]:
    """Return row, outcome, and column and code of each problem, for the rows of an upload."""
    return [
        (row["row"], row["outcome"], [(each["column"], each["code"]) for each in row["problems"]])
        for row in done["rows"]
    ]


async def networks_of(caller: Caller) -> dict[str, list[str]]:
    """Return the networks of a partner's registrations by their references."""
    found = (await caller.get("/v1/registrations?limit=100")).json()["items"]
    return {each["reference"]: each["networks"] for each in found}


# Refusals


@pytest.mark.parametrize(
    ("body", "media_type", "query", "words"),
    [
        (b"<html><body><table><tr><td>reference</td></tr></table></body></html>", CSV, "", "web page"),
        (b"%PDF-1.7\n", CSV, "", "PDF"),
        (text([])[:40].encode("utf-32"), CSV, "", "CSV UTF-8"),
        (text([], header=["S.No", *COLUMNS, "Remarks"]).encode(), CSV, "", "Column A 'S.No'"),
        (text([], header=["S.No", *COLUMNS, "Remarks"]).encode(), CSV, "ignore_columns=S.No", "Column R 'Remarks'"),
        (b"\xef\xbb\xbf" + text([]).encode(), CSV, "encoding=windows-1252", "encoding"),
        (text([]).encode("utf-16"), CSV, "encoding=windows-1256", "encoding"),
        (b"reference,legal_name\nA,B\n", CSV, "", "networks"),
        (uploads.xlsx_of([]), TYPES["xlsx"], "encoding=windows-1252", "encoding"),
        (text([]).encode(), TYPES["xlsx"], "", "text/csv"),
    ],
    ids=["web page", "PDF", "UTF-32", "unknown column", "another unknown column", "encoding and mark",
         "encoding and UTF-16", "no header", "encoding of a workbook", "text as a workbook"],
)  # fmt: skip
async def test_a_file_without_one_meaning_is_refused_at_once_with_what_to_do(
    pseb: Caller, body: bytes, media_type: str, query: str, words: str
) -> None:
    answer = await pseb.post(f"/v1/bulk-uploads?{query}", content=body, headers={"Content-Type": media_type})
    assert answer.status_code == 422, answer.text
    assert words in answer.text
    assert (await pseb.get("/v1/bulk-uploads")).json()["items"] == []


async def test_a_quote_that_is_not_closed_refuses_the_lines_that_it_spans_and_no_others(pseb: Caller) -> None:
    rows = [uploads.row(f"Q{i}") for i in range(6)]
    lines = text(rows).splitlines(keepends=True)
    lines[2] = lines[2].replace("\r\n", '"see our letter\r\n')
    lines[4] = lines[4].replace("\r\n", 'as agreed"\r\n')
    lines[6] = lines[6].replace("\r\n", '"and that was all\r\n')
    done = await upload(pseb, "".join(lines).encode())
    assert outcomes(done) == [
        (2, "created", []),
        (3, "refused", [("description", "invalid_value")]),
        (4, "created", []),
        (5, "refused", [("", "invalid_value")]),
    ]
    (swallowed,) = done["rows"][1]["problems"]
    assert "Lines 3 to 5" in swallowed["detail"]
    assert sorted(await networks_of(pseb)) == ["Q0", "Q4"]


async def test_damage_placeholders_and_hidden_characters_refuse_their_row(pseb: Caller) -> None:
    done = await upload(
        pseb,
        text(
            [
                uploads.row("MOJIBAKE", legal_name="Café Müller Ltd".encode().decode("cp1252")),
                uploads.row("LOST", legal_name="Caf\ufffd Ltd"),
                *(
                    uploads.row(f"NAME-{i}", legal_name=name)
                    for i, name in enumerate(["#N/A", "nan", "NULL", "-", "0"])
                ),
                uploads.row("n/a"),
                uploads.row("NUMBER", subscriber_id="None"),
                uploads.row("BIDI\u202e"),
                uploads.row("TAKEN", legal_name="\u202eSoft\u200bworks\u202c Ltd"),
                uploads.row("OWNER", description="owner CNIC 3520212345671"),
            ]
        ).encode(),
    )
    columns = [columns for _, _, columns in outcomes(done)]
    name, reference = [("legal_name", "invalid_value")], [("reference", "invalid_value")]
    assert columns[:8] == [name] * 7 + [reference]
    assert columns[8:] == [[("subscriber_id", "invalid_value")], reference, [], [("description", "invalid_value")]]
    assert "'Café Müller Ltd'" in done["rows"][0]["problems"][0]["detail"]
    assert done["rows"][10]["normalized"][0]["taken"] == "Softworks Ltd"
    assert "3520212345671" not in str(done["rows"])


# Text files


class Way(NamedTuple):
    """A way to write a text file, the parameters it needs, and how it is said to have been read."""

    write: Callable[[list[Row]], bytes]
    read_as: dict[str, Any]
    query: str = ""
    rows: tuple[int, int] = (2, 3)


def joined_lines(rows: list[Row]) -> bytes:
    """Write two rows with a carriage return between them, among lines that end in CRLF."""
    header, first, second = text(rows).splitlines()
    return f"{header}\r\n{first}\r{second}\r\n".encode()


def two_columns(rows: list[Row]) -> bytes:
    """Write a second column ``networks`` that repeats the first."""
    header, *lines = text(rows).splitlines()
    return "\n".join(
        [f"{header},networks", *(f"{line},{row['networks']}" for line, row in zip(lines, rows, strict=True))]
    ).encode()


def shorter(rows: list[Row]) -> bytes:
    """Write rows without the separators after their last cell."""
    return "\n".join(line.rstrip(",") for line in text(rows, end="\n").splitlines()).encode() + b"\n"


WAYS = {
    "semicolons": Way(lambda rows: text(rows, ";").encode("utf-8-sig"), {"separator": ";"}),
    "tabs": Way(lambda rows: text(rows, "\t").encode(), {"separator": "\t"}),
    "bars": Way(lambda rows: text(rows, "|").encode(), {"separator": "|"}),
    "sep line": Way(lambda rows: ("sep=;\r\n" + text(rows, ";")).encode(), {"separator": ";", "header_row": 1}),
    "UTF-16": Way(lambda rows: text(rows, "\t").encode("utf-16"), {"encoding": "utf-16", "separator": "\t"}),
    "UTF-16 without a mark": Way(lambda rows: text(rows).encode("utf-16-be"), {"encoding": "utf-16"}),
    "two marks": Way(lambda rows: b"\xef\xbb\xbf" * 2 + text(rows).encode(), {"encoding": "utf-8"}),
    "Windows-1252": Way(
        lambda rows: text(rows).encode("cp1252"), {"encoding": "windows-1252"}, "encoding=windows-1252"
    ),
    "Windows-1256": Way(
        lambda rows: text(rows).replace("Ü", "چ").encode("cp1256"),
        {"encoding": "windows-1256"},
        "encoding=windows-1256",
    ),
    "CR": Way(lambda rows: text(rows, end="\r").encode(), {}),
    "LF": Way(lambda rows: text(rows, end="\n").encode(), {}),
    "one CR": Way(joined_lines, {}),
    "all quoted": Way(lambda rows: text(rows, quoting=csv.QUOTE_ALL).encode(), {}),
    "header in words": Way(
        lambda rows: text(rows, header=[f" {name.title().replace('_', ' ')}*" for name in COLUMNS]).encode(), {}
    ),
    "title rows": Way(
        lambda rows: f"Members,November 2026\n\n{text(rows)}".encode(), {"header_row": 3}, rows=(4, 5)
    ),
    "unnamed columns": Way(
        lambda rows: "\n".join(f"{line},,," for line in text(rows).splitlines()).encode() + b"\n", {}
    ),
    "other columns": Way(
        lambda rows: "\n".join(f"x,{line}" for line in text(rows).splitlines()).encode() + b"\n",
        {"ignored_columns": ["x"]},
        "ignore_columns=X,Remarks",
    ),
    "two columns of networks": Way(two_columns, {}),
    "short rows": Way(shorter, {}),
    "empty rows": Way(lambda rows: (text(rows) + f"{',' * 15}\r\n" * 3).encode(), {}),
}  # fmt: skip


@pytest.mark.parametrize("name", WAYS)
async def test_rows_are_the_same_in_whatever_way_a_text_file_is_written(pseb: Caller, name: str) -> None:
    way = WAYS[name]
    rows = [uploads.row(f"W{i}", legal_name=f"Ünited Softworks {i}") for i in range(2)]
    done = await upload(pseb, way.write(rows), query=way.query)
    assert outcomes(done) == [(row, "created", []) for row in way.rows]
    whole = {"encoding": "utf-8", "separator": ",", "header_row": 1, "sheets": [], "ignored_columns": []}
    assert done["read_as"] == {**whole, **way.read_as}
    assert await networks_of(pseb) == {row["reference"]: [f"{row['networks']}/32"] for row in rows}
    names = [each["legal_name"] for each in (await pseb.get("/v1/applicants")).json()["items"]]
    expected = "چnited" if way.read_as.get("encoding") == "windows-1256" else "Ünited"
    assert names == [f"{expected} Softworks {i}" for i in range(2)]


async def test_rows_are_counted_as_a_spreadsheet_counts_them_and_notes_among_them_are_refused(pseb: Caller) -> None:
    header = text([]).strip()
    lines = text([uploads.row("TWO", description="a\nb\nc"), uploads.row("WRONG", email="nobody")]).encode()
    done = await upload(pseb, lines + f"\r\n{header}\r\nTotal,,,2\r\n* prepared by Ali\r\n".encode())
    assert [(row["row"], row["line"]) for row in done["rows"]] == [(2, 2), (3, 5), (5, 7), (6, 8), (7, 9)]
    assert done["rows"][1]["problems"][0]["letter"] == "G"
    assert [row["outcome"] for row in done["rows"]] == ["created", *["refused"] * 4]
    assert "repeats the header" in done["rows"][2]["problems"][0]["detail"]
    assert "A7" in done["rows"][4]["problems"][0]["detail"]


async def test_bytes_that_are_not_unicode_refuse_their_row_and_a_missing_last_line_end_is_told(pseb: Caller) -> None:
    rows = [uploads.row("PLAIN"), uploads.row("BYTES", legal_name="Café Softworks")]
    done = await upload(pseb, text(rows).removesuffix("\r\n").encode("cp1252"))
    assert outcomes(done) == [(2, "created", []), (3, "refused", [("legal_name", "invalid_value")])]
    assert "Save as CSV UTF-8" in done["rows"][1]["problems"][0]["detail"]
    assert "no line end" in done["warnings"][0]


async def test_a_file_with_a_header_alone_is_told(pseb: Caller) -> None:
    done = await upload(pseb, text([]).encode())
    assert (done["counts"]["total"], done["rows"]) == (0, [])


# Values


async def test_values_that_are_clear_are_taken_in_their_normal_form_and_told_masked(pseb: Caller) -> None:
    one = cases.address()
    block = one.rsplit(".", 1)[0]
    given: list[dict[str, str]] = [
        {"mobile": "0300-1234567"},
        {"mobile": "00923001234567"},
        {"mobile": '="03001234567"'},
        {"networks": f"{block}.201,{block}.202"},
        {"networks": f"{block}.208-{block}.215"},
        {"networks": f"{block}.216 255.255.255.248"},
        {"ntn": "76543210"},
        {"track": "VPN Company", "purpose": "IT Services", "protocol": "IPSec", "operator": "NAYATEL"},
    ]
    done = await upload(pseb, text([uploads.row(f"N{i}", **cells) for i, cells in enumerate(given)]).encode())
    assert [outcome for _, outcome, _ in outcomes(done)] == ["created"] * len(given)
    told = [[(each["column"], each["given"], each["taken"]) for each in row["normalized"]] for row in done["rows"]]
    assert told[0] == [("mobile", "****-****567", "+*********567")]
    assert told[3] == [("networks", f"{block}.201,{block}.202", f"{block}.201 {block}.202")]
    assert told[4] == [("networks", f"{block}.208-{block}.215", f"{block}.208/29")]
    assert told[5] == [("networks", f"{block}.216 255.255.255.248", f"{block}.216/29")]
    assert told[6] == [("ntn", "76543210", "7654321-0")]
    assert len(told[7]) == 4
    counts = {"mobile": 3, "networks": 3, "ntn": 1, "operator": 1, "protocol": 1, "purpose": 1, "track": 1}
    assert done["normalized"] == counts
    mobiles = {each["mobile"] for each in (await pseb.get("/v1/applicants")).json()["items"]}
    assert mobiles == {"+923001234567"}


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({"networks": "39.49.1.57/"}, "39.49.1.57"),
        ({"networks": "https://39.49.1.58/"}, "39.49.1.58"),
        ({"networks": "39.49.1.59:1194"}, "39.49.1.59"),
        ({"networks": "039.049.001.063"}, "39.49.1.63"),
        ({"networks": "39.49.1.16-39.49.1.20"}, "39.49.1.16/30"),
        ({"ntn": "1234567"}, "check digit is missing"),
        ({"cnic": "3.52E+12"}, "digits are lost"),
        ({"mobile": "-"}, "clear=true"),
        ({"applicant_kind": ""}, "applicant_kind is required"),
    ],
)
async def test_values_without_one_meaning_are_refused_with_what_to_write(
    pseb: Caller, cells: dict[str, str], words: str
) -> None:
    done = await upload(pseb, text([uploads.row("V", **cells)]).encode())
    assert outcomes(done)[0][1] == "refused"
    assert words in done["rows"][0]["problems"][0]["detail"]


# Workbooks and archives


async def test_lines_of_a_workbook_are_the_rows_of_its_first_sheet_that_is_read(pseb: Caller) -> None:
    first, second = ([[row.get(name, "") for name in COLUMNS]] for row in (uploads.row("S1"), uploads.row("S2")))

    def fill(*rows: list[str]) -> Callable[[Any, Any], None]:
        def write(sheet: Any, _: Any) -> None:
            for number, cells in enumerate(rows):
                sheet.write_row(number, 0, cells)

        return write

    body = workbooks.of_sheets(
        ("Read me", fill(["Fill in the lists"])),
        ("Companies", fill([*COLUMNS], *first)),
        ("Others", fill(["Others"], [*COLUMNS], *second)),
    )
    done = await upload(pseb, body, TYPES["xlsx"])
    places = [(row["sheet"], row["row"], row["line"], row["outcome"]) for row in done["rows"]]
    assert places == [("Companies", 2, 2, "created"), ("Others", 3, 5, "created")]
    assert done["read_as"]["sheets"] == ["Companies", "Others"]
    assert any("Read me" in each for each in done["warnings"])


@pytest.mark.parametrize("media_type", [CSV, TYPES["zip"], TYPES["xlsx"]])
async def test_the_content_decides_whether_a_file_is_a_workbook(pseb: Caller, media_type: str) -> None:
    done = await upload(pseb, uploads.xlsx_of([uploads.row("X")]), media_type)
    assert (done["format"], outcomes(done)) == ("xlsx", [(2, "created", [])])


async def test_an_archive_of_one_file_is_read_as_that_file(pseb: Caller) -> None:
    body = workbooks.archive_of({"list/": b"", "list/members.csv": text([uploads.row("Z")], ";").encode("utf-16")})
    done = await upload(pseb, body, TYPES["zip"])
    assert (done["format"], outcomes(done)) == ("csv", [(2, "created", [])])
    assert (done["read_as"]["encoding"], done["read_as"]["separator"]) == ("utf-16", ";")


async def test_a_csv_file_may_be_sent_as_windows_sends_it(pseb: Caller) -> None:
    done = await upload(pseb, text([uploads.row("W")]).encode(), "application/vnd.ms-excel")
    assert (done["format"], outcomes(done)) == ("csv", [(2, "created", [])])


# The way back


async def test_refused_rows_mended_in_a_spreadsheet_and_saved_in_any_format_are_taken(pseb: Caller) -> None:
    files = {each.suffix[1:]: each for each in workbooks.LIBREOFFICE_FILES.glob("mended.*")}
    mended = list(csv.DictReader(files["csv"].read_text("utf-8-sig").splitlines(keepends=True)))
    mistakes: list[dict[str, str]] = [{"networks": "39.49.3"}, {"mobile": "30"}, {"email": "nobody"}]
    rows = [{**row, **mistake} for row, mistake in zip(mended, mistakes, strict=True)]
    done = await upload(pseb, text(rows).encode())
    assert done["counts"]["refused"] == 3
    refused = (await pseb.get(f"/v1/bulk-uploads/{done['id']}/refused.csv")).content
    assert refused.startswith(b"\xef\xbb\xbf")
    listed = list(csv.DictReader(io.StringIO(refused.decode("utf-8-sig"), newline="")))
    assert [*listed[0]] == [*COLUMNS, "why"]
    assert [[word in each["why"] for word in ("Row", "networks", "mobile", "email")] for each in listed] == [
        [True, True, False, False], [True, False, True, False], [True, False, False, True]
    ]  # fmt: skip

    again = await upload(pseb, refused)
    assert again["counts"]["refused"] == 3
    taken = {name: await upload(pseb, files[name].read_bytes(), TYPES[name]) for name in ("xlsx", "ods", "xls", "csv")}
    assert taken["xlsx"]["counts"]["created"] == 3
    assert {name: each["counts"]["refused"] for name, each in taken.items()} == dict.fromkeys(taken, 0)
    assert {name: each["counts"]["unchanged"] for name, each in taken.items() if name != "xlsx"} == {
        "ods": 3, "xls": 3, "csv": 3
    }  # fmt: skip

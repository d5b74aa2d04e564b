"""Text files as people make them are taken in their one meaning and told, or refused with what to write instead."""

import csv
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from app.bulk_uploads.rules import COLUMNS
from tests.support import uploads
from tests.support.files import CSV, TYPES, Row, networks_of, outcomes, text, upload
from tests.support.service import Caller

# Refusals


@pytest.mark.parametrize(
    ("body", "media_type", "query", "words"),
    [
        (b"<html><body><table><tr><td>reference</td></tr></table></body></html>", CSV, "", "web page"),
        (b"%PDF-1.7\n", CSV, "", "PDF"),
        (text([])[:40].encode("utf-32"), CSV, "", "CSV UTF-8"),
        (text([], header=["S.No", *COLUMNS, "Remarks"]).encode(), CSV, "", "Column A 'S.No'"),
        (text([], header=["S.No", *COLUMNS, "Remarks"]).encode(), CSV, "ignore_columns=S.No", "Column S 'Remarks'"),
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
        (3, "refused", [("replaces", "invalid_value")]),
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

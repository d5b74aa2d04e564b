"""The same rows have the same outcomes in every format and content encoding."""

import gzip
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from backports import zstd

from app.bulk_uploads.rules import COLUMNS
from app.core.settings import Settings
from tests.support import files, postgres, processes, uploads, workbooks
from tests.support.service import Caller, Service

MIB = 1024 * 1024
COMPRESS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstd.compress}
# the line of the first row in each format
FIRST_LINE = {"csv": 2, "ndjson": 1, "xlsx": 2}
formats = pytest.mark.parametrize("upload_format", uploads.WRITERS)
encodings = pytest.mark.parametrize("encoding", COMPRESS)


@pytest.fixture
async def narrow(database_url: str) -> AsyncIterator[Service]:
    """A service that decompresses at most a mebibyte."""
    service = Service(postgres.settings_for(database_url, max_unpacked_bytes=MIB))
    yield service
    await service.close()


def mixed() -> list[dict[str, str]]:
    """Return rows of every outcome that a first upload can have."""
    same = uploads.row("SAME")
    return [
        uploads.row("VALID", description='=2+2, "quoted"\nدفتر'),
        uploads.row("EMAIL", email="@"),
        same,
        {**same, "reference": "SAME"},
        uploads.row("TWO", networks="10.0.0.1 203.99.50.9/29", protocol=""),
        uploads.row("NAME", legal_name=""),
    ]


async def table(caller: Caller, upload: dict[str, Any], name: str) -> list[dict[str, str]]:
    answer = await caller.get(f"/v1/bulk-uploads/{upload['id']}/{name}")
    assert answer.headers["content-type"].startswith("text/csv")
    return uploads.table(answer)


@formats
async def test_a_file_of_an_unknown_type_is_read_by_its_content(pseb: Caller, upload_format: str) -> None:
    body = uploads.WRITERS[upload_format]([uploads.row("A"), uploads.row("B")])
    done = await files.upload(pseb, body, "application/octet-stream")
    assert done["format"] == upload_format
    assert [row["outcome"] for row in done["rows"]] == ["created", "created"]


@pytest.mark.parametrize("sent", ["text/csv", "text/tab-separated-values", "application/octet-stream"])
async def test_lines_of_json_sent_as_another_text_are_recognised(pseb: Caller, sent: str) -> None:
    done = await files.upload(pseb, uploads.ndjson_of([uploads.row("A"), uploads.row("B")]), sent)
    assert done["format"] == "ndjson"
    assert [row["outcome"] for row in done["rows"]] == ["created", "created"]


@formats
async def test_a_refused_row_is_reported_by_line_and_column_and_exported_as_csv(
    pseb: Caller, upload_format: str
) -> None:
    rows = mixed()
    done = await uploads.ingest(pseb, uploads.WRITERS[upload_format](rows), upload_format=upload_format)
    assert (done["status"], done["format"]) == ("completed", upload_format)
    assert done["counts"] == uploads.counts(6, created=2, refused=4)
    first = FIRST_LINE[upload_format]
    # the description of the first row has a line break
    lines = [first + i + (1 if upload_format == "csv" and i else 0) for i in range(len(rows))]
    problems = [(each["line"], each["column"], each["code"]) for each in await table(pseb, done, "problems.csv")]
    assert problems == [
        (str(lines[1]), "email", "email_malformed"),
        (str(lines[3]), "reference", "reference_duplicate"),
        (str(lines[4]), "networks", "network_reserved"),
        (str(lines[4]), "networks", "network_host_bits"),
        (str(lines[4]), "protocol", "missing_field"),
        (str(lines[5]), "legal_name", "missing_field"),
    ]

    refused = await table(pseb, done, "refused.csv")
    assert tuple(refused[0]) == (*COLUMNS, "why")
    assert [each["reference"] for each in refused] == ["EMAIL", "SAME", "TWO", "NAME"]
    rows = [{name: each[name] for name in COLUMNS} for each in refused]
    corrected = [{**rows[0], "email": "it@indus.example.pk"}, {**rows[3], "legal_name": "Indus Softworks"}]
    again = await uploads.ingest(pseb, uploads.csv_of(corrected))
    assert (await table(pseb, again, "problems.csv"), again["counts"]["created"]) == ([], 2)


@formats
async def test_the_same_rows_are_unchanged_in_every_other_format_and_across_chunks(
    pseb: Caller, upload_format: str
) -> None:
    rows = [uploads.row(f"R{i}", networks=f"203.99.51.{i} 203.99.52.{i}") for i in range(7)]
    first = await uploads.ingest(pseb, uploads.WRITERS[upload_format](rows), upload_format=upload_format, chunk_rows=2)
    assert first["counts"]["created"] == 7
    for other, write in uploads.WRITERS.items():
        again = await uploads.ingest(pseb, write(rows), upload_format=other, chunk_rows=3)
        assert (other, again["counts"]["unchanged"]) == (other, 7)
        assert again["bytes_done"] == again["bytes"]


async def test_networks_may_be_a_list_and_an_unknown_name_refuses_its_line_alone(pseb: Caller) -> None:
    listed: list[dict[str, Any]] = [
        {**uploads.row("A"), "networks": ["203.99.50.1", "203.99.50.8/29"]},
        {**uploads.row("B"), "colour\0": "blue"},
    ]
    done = await uploads.ingest(pseb, uploads.ndjson_of(listed), upload_format="ndjson")
    assert (done["counts"]["created"], done["counts"]["refused"]) == (1, 1)
    (problem,) = await table(pseb, done, "problems.csv")
    assert (problem["line"], problem["column"], problem["code"]) == ("2", "colour\\x00", "invalid_value")
    (case,) = (await pseb.get("/v1/registrations")).json()["items"]
    assert case["networks"] == ["203.99.50.1/32", "203.99.50.8/29"]


@pytest.mark.parametrize(
    ("upload_format", "body", "code", "detail"),
    [
        ("ndjson", uploads.ndjson_of([uploads.row("A")]) + b'{"reference": "cut', "ndjson_malformed", "Line 2 "),
        ("xlsx", uploads.xlsx_of([uploads.row("A")])[:-200], "xlsx_malformed", "cannot be opened"),
        ("xlsx", workbooks.encrypted(), "xlsx_malformed", "password"),
        ("xlsx", workbooks.long_text_repeated(), "xlsx_too_large", "memory"),
        (
            "xlsx",
            uploads.xlsx_of([], columns=("track", "colour")),
            "invalid_value",
            "is a header",
        ),
        ("xlsx", uploads.xlsx_of([], columns=()), "xlsx_malformed", "empty"),
    ],
    ids=["NDJSON cut short", "XLSX cut short", "encrypted", "bomb", "wrong columns", "no columns"],
)
async def test_a_file_that_cannot_be_read_fails_with_what_to_do_and_registers_nothing(
    pseb: Caller, upload_format: str, body: bytes, code: str, detail: str
) -> None:
    failed = await uploads.ingest(pseb, body, upload_format=upload_format)
    assert (failed["status"], failed["problem"]["code"]) == ("failed", code)
    assert detail in failed["problem"]["detail"]
    assert (await pseb.get("/v1/registrations")).json()["items"] == []


async def test_a_compressed_file_is_the_same_upload_as_the_file(pseb: Caller) -> None:
    body = uploads.csv_of([uploads.row("A"), uploads.row("B")])
    plain = (await uploads.send(pseb, body, headers={"Idempotency-Key": "once"})).json()
    for encoding, compress in COMPRESS.items():
        compressed = await uploads.send(
            pseb, compress(body[:90]) + compress(body[90:]), headers={"Content-Encoding": encoding}
        )
        taken = compressed.json()
        assert [taken[name] for name in ("sha256", "bytes", "format")] == [plain["sha256"], len(body), "csv"]
        again = await uploads.send(
            pseb, compress(body), headers={"Content-Encoding": encoding, "Idempotency-Key": "once"}
        )
        assert (again.status_code, again.json()["id"]) == (202, plain["id"])
    await pseb.service.ingest_all()
    counts = [each["counts"] for each in (await pseb.get("/v1/bulk-uploads")).json()["items"]]
    assert [each["created"] for each in counts] == [2, 0, 0]
    assert [each["unchanged"] for each in counts] == [0, 2, 2]


@encodings
async def test_a_bomb_is_refused_while_it_arrives_and_nothing_of_it_is_stored(narrow: Service, encoding: str) -> None:
    caller = await narrow.caller("pseb")
    bomb = COMPRESS[encoding](uploads.csv_of([]) + b"\n" * (64 * MIB))
    sent = 0

    async def dripping() -> AsyncIterator[bytes]:
        nonlocal sent
        for at in range(0, len(bomb), 512):
            sent += 512
            yield bomb[at : at + 512]

    answer = await uploads.send(caller, dripping(), headers={"Content-Encoding": encoding})
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
    assert sent < len(bomb)
    assert (await caller.get("/v1/bulk-uploads")).json()["items"] == []


@encodings
async def test_a_truncated_compressed_body_is_refused(pseb: Caller, encoding: str) -> None:
    compressed = COMPRESS[encoding](uploads.csv_of([uploads.row("A")]))
    answer = await uploads.send(pseb, compressed[:-6], headers={"Content-Encoding": encoding})
    assert (answer.status_code, answer.json()["code"]) == (422, "encoding_malformed")


@pytest.mark.parametrize("encoding", ["br", "gzip, zstd"])
async def test_an_unknown_encoding_is_refused_with_those_that_are_known(pseb: Caller, encoding: str) -> None:
    answer = await uploads.send(pseb, b"x", headers={"Content-Encoding": encoding})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_encoding")
    assert answer.headers["Accept-Encoding"] == "gzip, zstd"


@pytest.mark.slow
async def test_a_worker_survives_bombs_with_flat_memory(pseb: Caller, settings: Settings) -> None:
    bombs = [workbooks.long_text_repeated(), workbooks.many_texts(), workbooks.encrypted()]
    for each in bombs:
        assert (await uploads.send(pseb, each, upload_format="xlsx")).status_code == 202
    await uploads.send(pseb, uploads.xlsx_of([uploads.row("A")]), upload_format="xlsx")

    async def ended() -> list[str]:
        return [each["status"] for each in (await pseb.get("/v1/bulk-uploads")).json()["items"]]

    async def all_ended() -> bool:
        return not {"received", "processing"} & set(await ended())

    with processes.running("worker", processes.environment(settings)) as worker:
        await processes.until(all_ended, 60)
        assert await ended() == ["failed", "failed", "failed", "completed"]
        assert worker.poll() is None
        with open(f"/proc/{worker.pid}/status", encoding="ascii") as status:  # noqa: ASYNC230, PTH123 - of the kernel
            peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    assert peak < 300 * 1024  # KiB

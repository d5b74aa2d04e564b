"""Receiving an upload over HTTP: refusals, acknowledgement, idempotency and the backlog."""

import asyncio
import gzip
import hashlib
import tempfile
from base64 import b64encode
from collections.abc import AsyncIterator

import httpx
import pytest
from sqlalchemy import func, select, update

from app.bulk_uploads.models import BulkUpload, BulkUploadPart
from app.bulk_uploads.store import PART_BYTES, SEALED_PART
from tests.support import cases, postgres, uploads
from tests.support.full_disk import file_size_limit
from tests.support.service import Caller, Service

SMALL = 4_096


@pytest.fixture
async def narrow(database_url: str) -> AsyncIterator[Service]:
    service = Service(postgres.settings_for(database_url, max_upload_bytes=SMALL, max_body_bytes=1_024))
    yield service
    await service.close()


async def stored(service: Service) -> tuple[int, int]:
    """Count the uploads and parts in the database."""
    async with service.database.transaction(read_only=True) as tx:
        counts = [await tx.scalar(select(func.count()).select_from(each)) for each in (BulkUpload, BulkUploadPart)]
    return counts[0] or 0, counts[1] or 0


def body_of(rows: int) -> bytes:
    return uploads.csv_of([uploads.row(f"R{i}") for i in range(rows)])


def refused(answer: httpx.Response, status: int, code: str) -> None:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_an_upload_needs_the_scopes_to_write_registrations_and_applicants(
    service: Service, nayatel: Caller
) -> None:
    refused(await uploads.send(nayatel, body_of(1)), 403, "forbidden")
    half = await service.caller("half", scopes=["registrations:write", "registrations:read"])
    refused(await uploads.send(half, body_of(1)), 403, "forbidden")
    anonymous = await service.http.post("/v1/bulk-uploads", content=body_of(1), headers={"Content-Type": "text/csv"})
    refused(anonymous, 401, "unauthenticated")
    assert await stored(service) == (0, 0)


@pytest.mark.parametrize("sent", ["application/json", "text/plain", "multipart/form-data; boundary=x", ""])
async def test_another_media_type_is_refused(service: Service, pseb: Caller, sent: str) -> None:
    answer = await pseb.post("/v1/bulk-uploads", content=body_of(1), headers={"Content-Type": sent})
    refused(answer, 415, "unsupported_media_type")
    assert await stored(service) == (0, 0)


async def test_a_file_over_the_limit_is_refused_by_its_declared_length_and_as_it_arrives(narrow: Service) -> None:
    caller = await narrow.caller("pseb")
    body = body_of(60)
    assert len(body) > SMALL
    refused(await uploads.send(caller, body), 413, "payload_too_large")

    async def undeclared() -> AsyncIterator[bytes]:
        for at in range(0, len(body), 500):
            yield body[at : at + 500]

    headers = {"Content-Type": "text/csv"}
    refused(await caller.post("/v1/bulk-uploads", content=undeclared(), headers=headers), 413, "payload_too_large")
    assert await stored(narrow) == (0, 0)


async def test_uploads_have_a_limit_of_their_own_and_may_reach_it(narrow: Service) -> None:
    caller = await narrow.caller("pseb")
    body = body_of(1)
    assert (await uploads.send(caller, body + b"\n" * (SMALL - len(body)))).status_code == 202
    refused(await uploads.send(caller, body + b"\n" * (SMALL - len(body) + 1)), 413, "payload_too_large")


@pytest.mark.parametrize("body", [b"", b"\r\n", b"\xef\xbb\xbf"], ids=["empty", "blank", "only a mark"])
async def test_an_empty_file_is_refused_at_once(service: Service, pseb: Caller, body: bytes) -> None:
    refused(await uploads.send(pseb, body), 422, "csv_malformed")
    assert await stored(service) == (0, 0)


async def test_all_errors_of_a_header_are_reported_together(service: Service, pseb: Caller) -> None:
    answer = await uploads.send(
        pseb, b"reference,colour,track,track,applicant_kind,legal_name,email\r\n1,2,3,4,5,6,7\r\n"
    )
    assert answer.status_code == 422
    assert cases.codes(answer) == {
        "/columns/1": "invalid_value",
        "/columns/3": "invalid_value",
        "/columns/purpose": "missing_field",
        "/columns/operator": "missing_field",
        "/columns/networks": "missing_field",
    }
    assert await stored(service) == (0, 0)


@pytest.mark.parametrize("header", [b"tr\xffack,x\r\n", b"tr\x00ack\r\n", b'"track,networks\r\n1,2'])
async def test_a_header_that_cannot_be_read_is_a_problem(pseb: Caller, header: bytes) -> None:
    answer = await uploads.send(pseb, header)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


async def test_an_unknown_parameter_is_refused(pseb: Caller) -> None:
    answer = await pseb.post("/v1/bulk-uploads?dryrun=true", content=body_of(1), headers={"Content-Type": "text/csv"})
    assert cases.codes(answer) == {"/query/dryrun": "invalid_value"}


def sha256_of(body: bytes) -> str:
    return f"sha-256=:{b64encode(hashlib.sha256(body).digest()).decode()}:"


async def test_a_body_that_was_altered_on_the_way_is_refused_by_its_content_digest(
    service: Service, pseb: Caller
) -> None:
    body = body_of(2)
    answer = await uploads.send(pseb, body, headers={"Content-Digest": sha256_of(body + b"x")})
    assert cases.codes(answer) == {"/header/Content-Digest": "invalid_value"}
    assert await stored(service) == (0, 0)


@pytest.mark.parametrize("digest", ["{}", "{}, unixsum=:MTI=:", "md5=:AAAA:"])
async def test_a_right_content_digest_or_one_of_another_algorithm_is_accepted(pseb: Caller, digest: str) -> None:
    body = body_of(1)
    answer = await uploads.send(pseb, body, headers={"Content-Digest": digest.format(sha256_of(body))})
    assert answer.status_code == 202


async def test_an_upload_is_acknowledged_with_its_url_size_and_digest(service: Service, pseb: Caller) -> None:
    body = body_of(3)
    answer = await uploads.send(pseb, body)
    assert answer.status_code == 202, answer.text
    taken = answer.json()
    assert answer.headers["Location"] == f"/v1/bulk-uploads/{taken['id']}"
    assert answer.headers["ETag"] == f'"{taken["version"]}"' == '"1"'
    assert (taken["status"], taken["dry_run"], taken["rows_done"]) == ("received", False, 0)
    assert (taken["bytes"], taken["sha256"]) == (len(body), hashlib.sha256(body).hexdigest())
    assert taken["counts"] == uploads.counts(None)
    assert (await pseb.get(answer.headers["Location"])).json() == taken
    assert await stored(service) == (1, 1)


async def test_a_type_with_parameters_is_csv_too(pseb: Caller) -> None:
    headers = {"Content-Type": 'Text/CSV; charset="utf-8"; header=present'}
    assert (await pseb.post("/v1/bulk-uploads", content=body_of(1), headers=headers)).status_code == 202


async def test_a_large_file_is_kept_in_parts_until_it_is_done(service: Service, pseb: Caller) -> None:
    wide = [uploads.row(f"R{i}", description="x" * 60_000) for i in range(90)]
    body = uploads.csv_of([*wide, uploads.row("GOOD")])
    await uploads.send(pseb, body)
    assert await stored(service) == (1, -(-len(body) // PART_BYTES))
    await service.ingest_all()
    assert await stored(service) == (1, 0)
    (done,) = (await pseb.get("/v1/bulk-uploads")).json()["items"]
    assert (done["bytes_done"], done["rows_done"], done["counts"]["created"]) == (len(body), 91, 1)


async def test_a_repeated_idempotency_key_replays_the_answer_and_leaves_one_upload(
    service: Service, pseb: Caller
) -> None:
    body = body_of(2)
    first = await uploads.send(pseb, body, headers={"Idempotency-Key": "once"})
    again = await uploads.send(pseb, body, headers={"Idempotency-Key": "once"})
    assert (again.status_code, again.content) == (202, first.content)
    assert [again.headers[name] for name in ("Location", "ETag")] == [first.headers[n] for n in ("Location", "ETag")]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert await stored(service) == (1, 1)


async def test_an_idempotency_key_that_comes_with_another_file_is_refused(service: Service, pseb: Caller) -> None:
    await uploads.send(pseb, body_of(1), headers={"Idempotency-Key": "once"})
    refused(await uploads.send(pseb, body_of(2), headers={"Idempotency-Key": "once"}), 422, "idempotency_conflict")
    assert await stored(service) == (1, 1)


async def test_a_refused_file_does_not_use_its_idempotency_key_up(pseb: Caller) -> None:
    refused(await uploads.send(pseb, b"", headers={"Idempotency-Key": "once"}), 422, "csv_malformed")
    assert (await uploads.send(pseb, body_of(1), headers={"Idempotency-Key": "once"})).status_code == 202


async def test_requests_with_one_idempotency_key_at_the_same_time_leave_one_upload(
    service: Service, pseb: Caller
) -> None:
    body = body_of(2)
    sent = [uploads.send(pseb, body, headers={"Idempotency-Key": "once"}) for _ in range(4)]
    statuses = sorted({answer.status_code for answer in await asyncio.gather(*sent)})
    assert statuses in ([202], [202, 409])
    assert await stored(service) == (1, 1)


@pytest.fixture
async def busy(database_url: str) -> AsyncIterator[Service]:
    """A service with which a partner may have two uploads of a hundred kilobytes and a hundred rows waiting."""
    limits = {"max_waiting_uploads": 2, "max_waiting_upload_bytes": 100_000, "max_waiting_upload_rows": 100}
    service = Service(postgres.settings_for(database_url, max_upload_rows=100, **limits))
    yield service
    await service.close()


def too_much(answer: httpx.Response) -> str:
    refused(answer, 429, "uploads_waiting")
    assert 5 <= int(answer.headers["Retry-After"]) <= 300
    detail: str = answer.json()["detail"]
    return detail


async def test_a_partner_with_too_many_uploads_waiting_is_told_which_and_others_are_not_affected(
    busy: Service,
) -> None:
    pseb, pasha = await busy.caller("pseb"), await busy.caller("pasha")
    waiting = [await uploads.submit(pseb, body_of(1)) for _ in range(2)]
    said = too_much(await uploads.send(pseb, body_of(1)))
    assert "2 uploads" in said
    assert all(str(each) in said for each in waiting)
    assert await stored(busy) == (2, 2)
    assert (await uploads.send(pasha, body_of(1))).status_code == 202
    await busy.ingest_all()
    assert (await uploads.send(pseb, body_of(1))).status_code == 202


@pytest.mark.parametrize(("body", "said"), [(body_of(1) + b" " * 99_900, "bytes"), (body_of(99), "rows")])
async def test_waiting_bytes_and_rows_are_summed(busy: Service, body: bytes, said: str) -> None:
    caller = await busy.caller("pseb")
    assert (await uploads.send(caller, body_of(5))).status_code == 202
    assert f"{said} and" in too_much(await uploads.send(caller, body))
    assert await stored(busy) == (1, 1)


async def test_compressed_bytes_count_as_their_decompressed_size(busy: Service) -> None:
    caller = await busy.caller("pseb")
    assert (await uploads.send(caller, body_of(1))).status_code == 202
    packed = gzip.compress(body_of(1) + b" " * 120_000)
    assert "bytes and" in too_much(await uploads.send(caller, packed, headers={"Content-Encoding": "gzip"}))


async def test_a_file_too_large_for_the_backlog_by_its_declared_length_is_refused_before_it_is_read(
    busy: Service,
) -> None:
    caller = await busy.caller("pseb")
    await uploads.submit(caller, body_of(1))
    read = False

    async def content() -> AsyncIterator[bytes]:
        nonlocal read
        read = True
        yield b"x" * 100_000

    too_much(await uploads.send(caller, content(), headers={"Content-Length": "100000"}))
    assert not read


async def test_a_repeated_upload_gets_its_response_whatever_the_backlog(busy: Service) -> None:
    caller = await busy.caller("pseb")
    body, key = body_of(2), {"Idempotency-Key": "once"}
    first = await uploads.send(caller, body, headers=key)
    await uploads.submit(caller, body_of(1))
    too_much(await uploads.send(caller, body))
    again = await uploads.send(caller, body, headers=key)
    assert (again.status_code, again.content) == (202, first.content)
    refused(await uploads.send(caller, body_of(1), headers=key), 422, "idempotency_conflict")
    too_much(await uploads.send(caller, body, headers={"Idempotency-Key": "another"}))
    assert await stored(busy) == (2, 2)


async def test_concurrent_uploads_do_not_exceed_the_backlog_limit_together(busy: Service) -> None:
    caller = await busy.caller("pseb")
    answers = await asyncio.gather(*(uploads.send(caller, body_of(1)) for _ in range(6)))
    assert sorted(each.status_code for each in answers) == [202, 202, 429, 429, 429, 429]
    assert await stored(busy) == (2, 2)


async def test_a_file_of_far_more_lines_than_rows_is_refused_at_once(busy: Service) -> None:
    caller = await busy.caller("pseb")
    refused(await uploads.send(caller, body_of(1) + b"\n" * 800), 422, "too_many_rows")
    assert (await uploads.send(caller, body_of(1) + b"\n" * 700)).status_code == 202


async def test_parts_are_compressed_and_uncompressed_ones_of_earlier_versions_are_read(
    service: Service, pseb: Caller
) -> None:
    body = body_of(1_000)
    upload_id = await uploads.submit(pseb, body)
    async with service.database.transaction() as tx:
        size = await tx.scalar(select(func.sum(func.octet_length(BulkUploadPart.sealed))))
        assert size is not None
        assert size < len(body) / 3
        sealed = service.database.keyring.seal(SEALED_PART, body)
        await tx.execute(update(BulkUploadPart).values(sealed=sealed, size=None))
    await service.ingest_all()
    assert (await uploads.get(pseb, upload_id))["counts"]["created"] == 1_000


async def _send_large(caller: Caller) -> httpx.Response:
    """Send a file that does not stay in memory."""
    return await uploads.send(caller, b"x" * (5 * PART_BYTES))


async def test_a_full_disk_of_temporary_files_is_503_with_a_word_and_keeps_nothing(
    service: Service, pseb: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    with file_size_limit(2 * PART_BYTES):
        full = await _send_large(pseb)
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")  # as Python finds it when it is full from the start
    absent = await _send_large(pseb)
    for answer in (full, absent):
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert "temporary files" in answer.json()["detail"]
        assert int(answer.headers["Retry-After"]) > 0
    assert await stored(service) == (0, 0)

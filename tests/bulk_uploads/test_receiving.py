"""Taking an upload in over HTTP: what is refused at the door, and what is acknowledged."""

import asyncio
import hashlib
from base64 import b64encode
from collections.abc import AsyncIterator

import httpx
import pytest
from sqlalchemy import func, select

from app.bulk_uploads.models import BulkUpload, BulkUploadPart
from app.bulk_uploads.store import PART_BYTES
from tests.support import cases, postgres, uploads
from tests.support.service import Caller, Service

SMALL = 4_096


@pytest.fixture
async def narrow(database_url: str) -> AsyncIterator[Service]:
    service = Service(postgres.settings_for(database_url, max_upload_bytes=SMALL, max_body_bytes=1_024))
    yield service
    await service.close()


async def kept(service: Service) -> tuple[int, int]:
    """How many uploads and parts the database holds."""
    async with service.database.read() as session:
        held = [await session.scalar(select(func.count()).select_from(each)) for each in (BulkUpload, BulkUploadPart)]
    return held[0] or 0, held[1] or 0


def body_of(rows: int) -> bytes:
    return uploads.csv_of([uploads.row(f"R{i}") for i in range(rows)])


def refused(answer: httpx.Response, status: int, code: str) -> None:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_file_needs_the_scopes_to_register_and_to_make_applicants(service: Service, nayatel: Caller) -> None:
    refused(await uploads.send(nayatel, body_of(1)), 403, "forbidden")
    half = await service.caller("half", scopes=["registrations:write", "registrations:read"])
    refused(await uploads.send(half, body_of(1)), 403, "forbidden")
    anonymous = await service.http.post("/v1/bulk-uploads", content=body_of(1), headers={"Content-Type": "text/csv"})
    refused(anonymous, 401, "unauthenticated")
    assert await kept(service) == (0, 0)


@pytest.mark.parametrize("sent", ["application/json", "text/plain", "multipart/form-data; boundary=x", ""])
async def test_what_is_not_csv_is_refused_by_its_type(service: Service, pseb: Caller, sent: str) -> None:
    answer = await pseb.post("/v1/bulk-uploads", content=body_of(1), headers={"Content-Type": sent})
    refused(answer, 415, "unsupported_media_type")
    assert await kept(service) == (0, 0)


async def test_a_file_over_the_limit_is_refused_by_its_declared_length_and_as_it_comes(narrow: Service) -> None:
    caller = await narrow.caller("pseb")
    body = body_of(60)
    assert len(body) > SMALL
    refused(await uploads.send(caller, body), 413, "payload_too_large")

    async def undeclared() -> AsyncIterator[bytes]:
        for at in range(0, len(body), 500):
            yield body[at : at + 500]

    headers = {"Content-Type": "text/csv"}
    refused(await caller.post("/v1/bulk-uploads", content=undeclared(), headers=headers), 413, "payload_too_large")
    assert await kept(narrow) == (0, 0)


async def test_the_limit_of_uploads_is_their_own_and_the_last_byte_within_it_is_taken(narrow: Service) -> None:
    caller = await narrow.caller("pseb")
    body = body_of(1)
    assert (await uploads.send(caller, body + b"\n" * (SMALL - len(body)))).status_code == 202
    refused(await uploads.send(caller, body + b"\n" * (SMALL - len(body) + 1)), 413, "payload_too_large")


@pytest.mark.parametrize("body", [b"", b"\r\n", b"\xef\xbb\xbf"], ids=["empty", "blank", "only a mark"])
async def test_an_empty_file_is_refused_at_once(service: Service, pseb: Caller, body: bytes) -> None:
    refused(await uploads.send(pseb, body), 422, "csv_malformed")
    assert await kept(service) == (0, 0)


async def test_everything_wrong_with_a_header_is_said_at_once(service: Service, pseb: Caller) -> None:
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
    assert await kept(service) == (0, 0)


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
    answer = await uploads.send(pseb, body, **{"Content-Digest": sha256_of(body + b"x")})
    assert cases.codes(answer) == {"/header/Content-Digest": "invalid_value"}
    assert await kept(service) == (0, 0)


@pytest.mark.parametrize("digest", ["{}", "{}, unixsum=:MTI=:", "md5=:AAAA:"])
async def test_a_content_digest_that_is_right_or_of_another_kind_is_taken(pseb: Caller, digest: str) -> None:
    body = body_of(1)
    answer = await uploads.send(pseb, body, **{"Content-Digest": digest.format(sha256_of(body))})
    assert answer.status_code == 202


async def test_an_upload_is_acknowledged_with_its_address_and_what_arrived(service: Service, pseb: Caller) -> None:
    body = body_of(3)
    answer = await uploads.send(pseb, body)
    assert answer.status_code == 202, answer.text
    taken = answer.json()
    assert answer.headers["Location"] == f"/v1/bulk-uploads/{taken['id']}"
    assert answer.headers["ETag"] == f'"{taken["version"]}"' == '"1"'
    assert (taken["status"], taken["dry_run"], taken["rows_done"]) == ("received", False, 0)
    assert (taken["bytes"], taken["sha256"]) == (len(body), hashlib.sha256(body).hexdigest())
    assert taken["counts"] == {"total": None, "created": 0, "unchanged": 0, "updated": 0, "refused": 0}
    assert (await pseb.get(answer.headers["Location"])).json() == taken
    assert await kept(service) == (1, 1)


async def test_a_type_with_parameters_is_csv_too(pseb: Caller) -> None:
    headers = {"Content-Type": 'Text/CSV; charset="utf-8"; header=present'}
    assert (await pseb.post("/v1/bulk-uploads", content=body_of(1), headers=headers)).status_code == 202


async def test_a_large_file_is_kept_in_parts_until_it_is_done(service: Service, pseb: Caller) -> None:
    wide = [uploads.row(f"R{i}", description="x" * 900_000) for i in range(6)]
    body = uploads.csv_of([*wide, uploads.row("GOOD")])
    await uploads.send(pseb, body)
    assert await kept(service) == (1, -(-len(body) // PART_BYTES))
    await service.ingest_all()
    assert await kept(service) == (1, 0)
    (done,) = (await pseb.get("/v1/bulk-uploads")).json()["items"]
    assert (done["bytes_done"], done["rows_done"], done["counts"]["created"]) == (len(body), 7, 1)


async def test_a_repeated_idempotency_key_replays_the_answer_and_leaves_one_upload(
    service: Service, pseb: Caller
) -> None:
    body = body_of(2)
    first = await uploads.send(pseb, body, **{"Idempotency-Key": "once"})
    again = await uploads.send(pseb, body, **{"Idempotency-Key": "once"})
    assert (again.status_code, again.content) == (202, first.content)
    assert [again.headers[name] for name in ("Location", "ETag")] == [first.headers[n] for n in ("Location", "ETag")]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert await kept(service) == (1, 1)


async def test_an_idempotency_key_that_comes_with_another_file_is_refused(service: Service, pseb: Caller) -> None:
    await uploads.send(pseb, body_of(1), **{"Idempotency-Key": "once"})
    refused(await uploads.send(pseb, body_of(2), **{"Idempotency-Key": "once"}), 422, "idempotency_conflict")
    assert await kept(service) == (1, 1)


async def test_a_refused_file_does_not_use_its_idempotency_key_up(pseb: Caller) -> None:
    refused(await uploads.send(pseb, b"", **{"Idempotency-Key": "once"}), 422, "csv_malformed")
    assert (await uploads.send(pseb, body_of(1), **{"Idempotency-Key": "once"})).status_code == 202


async def test_requests_with_one_idempotency_key_at_the_same_time_leave_one_upload(
    service: Service, pseb: Caller
) -> None:
    body = body_of(2)
    sent = [uploads.send(pseb, body, **{"Idempotency-Key": "once"}) for _ in range(4)]
    statuses = sorted({answer.status_code for answer in await asyncio.gather(*sent)})
    assert statuses in ([202], [202, 409])
    assert await kept(service) == (1, 1)

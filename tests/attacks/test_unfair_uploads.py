"""One partner's files keep no other partner waiting, and fill neither the worker's memory nor the database."""

import asyncio
import gzip
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
import httpx
import psutil
import pytest

from tests.attacks.witness import Brief, witnessing
from tests.support import cases, uploads
from tests.support.processes import Running
from tests.support.service import Credentials, Service

MIB = 1024 * 1024
UPLOADS = "/v1/bulk-uploads"
# Alone the row takes a tenth of a second, and behind twelve dry runs it took 201 s.
SECONDS_FOR_ONE_ROW = 10.0
ROUNDS = 3  # on a machine that does other work beside, one round may be slow
HEADER, ROW, _ = uploads.csv_of([uploads.row("NAME", networks="154.192.0.1")]).split(b"\r\n")
HEADER, ROW = HEADER + b"\r\n", ROW + b"\r\n"
# 8,000,000 commas a row took 2 GiB of the worker, and five cells of 8,000,000 line breaks 71 s
COMMAS = HEADER + (b"," * 2_000_000 + b"\r\n") * 5
LINE_BREAKS = HEADER + (b'"' + b"\n" * 2_000_000 + b'"\r\n') * 5
SMALL_RECORDS = HEADER + (b'"' + b"\n" * 60_000 + b'"\r\n') * 5


@contextmanager
def partner(url: str, credentials: Credentials) -> Iterator[httpx.Client]:
    """A partner's client of the served process."""
    form = {"grant_type": "client_credentials"}
    secret = (credentials.client_id, credentials.client_secret)
    token = httpx.post(f"{url}/oauth/token", data=form, auth=secret).raise_for_status().json()["access_token"]
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
        yield client


def send(client: httpx.Client, body: bytes, query: str = "", **headers: str) -> httpx.Response:
    return client.post(f"{UPLOADS}{query}", content=body, headers={"Content-Type": "text/csv", **headers})


def ended(client: httpx.Client, sent: httpx.Response, patience: float = 60) -> tuple[float, Any]:
    """Return the seconds until an upload ended, and its final status."""
    began = time.monotonic()
    while time.monotonic() < began + patience:
        upload = client.get(sent.raise_for_status().headers["Location"]).json()
        if upload["status"] in {"completed", "failed"}:
            return time.monotonic() - began, upload
        time.sleep(0.05)
    return time.monotonic() - began, upload


async def brief(service: Service, url: str, name: str) -> Brief:
    """The brief of an honest partner's witness, one for each round, whose addresses are new."""
    caller = await service.caller(name)
    applicant = await caller.post("/v1/applicants", json=cases.company())
    return Brief(url, caller.credentials.client_id, caller.credentials.client_secret, applicant.json()["id"])


def file_of(rows: int) -> bytes:
    return HEADER + b"".join(ROW.replace(b"NAME", b"R%06d" % i) for i in range(rows))


@pytest.mark.slow
async def test_twelve_dry_runs_of_one_partner_delay_anothers_row_by_seconds(service: Service, url: str) -> None:
    who = [await service.credentials(name) for name in ("attacker", "other")]
    large = gzip.compress(file_of(40_000), 1)

    witnesses = [await brief(service, url, f"witness-{number}") for number in range(ROUNDS)]

    def attack() -> None:
        with partner(url, who[0]) as attacker, partner(url, who[1]) as other:
            sent = [send(attacker, large, "?dry_run=true", **{"Content-Encoding": "gzip"}) for _ in range(12)]
            sent += [send(attacker, body) for body in (COMMAS, LINE_BREAKS, SMALL_RECORDS, file_of(5_000))]
            complaints = []
            for witness in witnesses:
                with witnessing(witness) as report:
                    row = file_of(1).replace(b"R000000", witness.client_id.encode())
                    seconds, upload = ended(other, send(other, row))
                still = [attacker.get(each.headers["Location"]).json()["status"] for each in sent[:12]]
                assert "received" in still, "the dry runs were done before anything could be shown"
                assert upload["status"] == "completed", upload
                try:
                    assert seconds < SECONDS_FOR_ONE_ROW, f"one row took {seconds:.1f} s"
                    report.assert_served()
                except AssertionError as late:
                    complaints.append(str(late))
                else:
                    return
            raise AssertionError(complaints)

    await asyncio.to_thread(attack)


@pytest.mark.slow
async def test_heavy_rows_are_refused_at_once_with_the_line_and_take_no_memory(
    service: Service, url: str, worker: Running
) -> None:
    credentials = await service.credentials("attacker")
    of_worker = psutil.Process(worker.pid)

    def attack() -> None:
        with partner(url, credentials) as attacker:
            ended(attacker, send(attacker, file_of(100)))  # what any file takes
            before = of_worker.memory_info().rss
            for body, said in (
                (COMMAS, "is longer than"),
                (LINE_BREAKS, "quotation mark"),
            ):
                _, upload = ended(attacker, send(attacker, body))
                assert upload["counts"]["refused"] == upload["counts"]["total"] > 0
                rows = attacker.get(f"/v1/bulk-uploads/{upload['id']}/rows?limit=1").json()["items"]
                assert (rows[0]["line"], said in rows[0]["problems"][0]["detail"]) == (2, True), rows
            assert of_worker.memory_info().rss - before < 64 * MIB

    await asyncio.to_thread(attack)


@pytest.mark.slow
async def test_what_unpacks_to_a_hundred_times_its_size_grows_the_database_by_little_more_than_was_sent(
    service: Service, url: str, database_url: str
) -> None:
    credentials = await service.credentials("attacker")
    noise = os.urandom(300_000).hex().encode()
    lines = b"".join(b'"' + noise[at : at + 60_000] + b'"\r\n' for at in range(0, len(noise), 60_000))
    packed = gzip.compress(HEADER + lines + (b"x" * 3_000 + b"\r\n") * 10_000, 9)
    bomb = gzip.compress(bytes(400 * MIB), 9)

    async def size() -> int:
        connection = await asyncpg.connect(database_url)
        try:
            found: int = await connection.fetchval("SELECT pg_database_size(current_database())")
        finally:
            await connection.close()
        return found

    def attack() -> list[int]:
        with partner(url, credentials) as attacker:
            gzipped = {"Content-Encoding": "gzip"}
            return [send(attacker, body, **gzipped).status_code for body in (packed, packed, bomb)]

    before = await size()
    assert await asyncio.to_thread(attack) == [202, 202, 413]
    assert await size() - before < 4 * len(packed) + 4 * MIB

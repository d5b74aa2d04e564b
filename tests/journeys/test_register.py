"""The whole sample register, from its three uploads to the last network in the feed."""

import csv
import io
from ipaddress import IPv4Network
from typing import Any

import pytest

from app.demo.sample import Sample
from tests.support import uploads
from tests.support.service import Caller, Service

TOTAL, APPLICANTS = 20_437, 1_482


def networks(body: bytes) -> list[IPv4Network]:
    """Return the networks of an upload."""
    rows = csv.DictReader(io.StringIO(body.decode(), newline=""))
    return [IPv4Network(row["networks"]) for row in rows]


async def list_all(caller: Caller, path: str) -> list[dict[str, Any]]:
    """Return every item of a list, read page by page."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = (await caller.get(f"{path}?limit=500{cursor}")).json()
        found += page["items"]
        if page["next_cursor"] is None:
            return found
        cursor = f"&cursor={page['next_cursor']}"


async def approve(officer: Caller, upload: dict[str, Any]) -> dict[str, int]:
    selection = {"bulk_upload_id": upload["id"], "status": "submitted"}
    decision = {"selection": selection, "action": "approve", "including_flags": ["outside_country"]}
    answer = await officer.post("/v1/review-decisions/batch", json=decision)
    assert answer.status_code == 200, answer.text
    counts: dict[str, int] = answer.json()["counts"]
    return counts


@pytest.mark.slow
async def test_the_whole_register_goes_in_is_decided_and_is_on_the_list(
    service: Service, pseb: Caller, pasha: Caller, officer: Caller, nayatel: Caller
) -> None:
    sample = dict(Sample().files())
    senders = {"pseb": pseb, "pasha": pasha}
    done = [await uploads.ingest(senders[batch.partner], body) for batch, body in sample.items()]
    assert [(each["counts"]["total"], each["counts"]["created"]) for each in done] == [
        (batch.addresses, batch.addresses) for batch in sample
    ]
    applicants = await list_all(officer, "/v1/applicants")
    assert (len(applicants), len({each["subject"] for each in applicants})) == (APPLICANTS, APPLICANTS)

    before = await nayatel.get("/v1/allowlist?format=text")
    assert (before.status_code, before.json()["code"]) == (503, "unavailable")
    for batch, upload in zip(sample, done, strict=True):
        assert await approve(officer, upload) == {"selected": batch.addresses, "decided": batch.addresses, "refused": 0}
        assert await approve(officer, upload) == {"selected": 0, "decided": 0, "refused": 0}
    published = await service.publish()
    assert published is not None
    assert (published.serial, published.count) == (1, TOTAL)

    listed = (await nayatel.get("/v1/allowlist?format=text")).text.splitlines()
    asked = [network for body in sample.values() for network in networks(body)]
    assert len(asked) == TOTAL
    assert listed == [str(network) for network in sorted(asked)]

    for sender, upload in zip((pseb, pseb, pasha), done, strict=True):
        (case,) = (await sender.get(f"/v1/registrations?bulk_upload_id={upload['id']}&limit=1")).json()["items"]
        assert (case["status"], case["version"]) == ("approved", 2)
        address = case["networks"][0].removesuffix("/32")
        check = (await nayatel.get(f"/v1/allowlist/check?address={address}")).json()
        assert (check["allowed"], check["network"], check["since_serial"]) == (True, case["networks"][0], 1)

"""The sample has work: cases in every state, and a change of the list that waits for a second officer."""

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from app.core.settings import Settings
from app.demo import sample
from app.demo.loading import load_sample
from app.demo.partners import CREDENTIALS, ensure_demo_partners
from app.demo.work import CASES, load_work
from app.disruptions import service as disruptions
from app.registrations import expiry
from tests.support import processes
from tests.support.service import Caller, Service


async def cases(officer: Caller, **query: Any) -> list[dict[str, Any]]:
    answer = await officer.get("/v1/registrations", params={"limit": 500, **query})
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def names(found: list[dict[str, Any]]) -> Counter[str]:
    return Counter(each["reference"].partition("-")[0] for each in found)


async def test_an_officer_finds_work_of_every_kind_and_a_second_start_adds_none(
    service: Service, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    freelancers = next(upload for upload in sample.UPLOADS if upload.name == "freelancers")
    monkeypatch.setattr(sample, "UPLOADS", (freelancers,))
    await ensure_demo_partners(service.database, tmp_path, "http://unused")
    clients = json.loads((tmp_path / CREDENTIALS).read_text())["clients"]
    console = Console(quiet=True)
    with processes.running("worker", processes.environment(settings)), processes.serving(settings) as url:
        served = settings.model_copy(update={"public_url": url})
        await asyncio.to_thread(load_sample, url, clients, console)
        for _ in range(2):
            await asyncio.to_thread(load_work, served, clients, console, suspended_at_once=20)
    async with service.database.transaction() as tx:  # the worker's next sweep
        await expiry.move_due(tx)
    await disruptions.sweep(service.database)
    officer = await service.officer("another")
    submitted = await cases(officer, status="submitted")
    assert names(submitted) == {name: CASES[name] for name in ("new", "overdue", "mismatch", "outside")} | {
        "contested": 2 * CASES["contested"]
    }
    for flag, name in (
        ("contested", "contested"),
        ("operator_prefix_mismatch", "mismatch"),
        ("outside_country", "outside"),
    ):
        assert names(await cases(officer, status="submitted", flag=flag))[name] == names(submitted)[name]
    now = (await officer.get("/v1/registrations?limit=1")).json()["items"][0]["submitted_at"]
    overdue = [each for each in submitted if each["due_at"] < now]
    assert names(overdue) == {"overdue": CASES["overdue"]}
    for status, name in (("information_requested", "question"), ("rejected", "rejected"), ("in_review", "claimed")):
        assert names(await cases(officer, status=status)) == {name: CASES[name]}
    assert names(await cases(officer, status="suspended")) == {"suspended": CASES["suspended"], "freelancers": 20}
    assert names(await cases(officer, status="approved"))["expiring"] == CASES["expiring"]
    for status, name in (("lapsed", "lapsed"), ("superseded", "renewed"), ("superseded", "moved")):
        found = await cases(officer, status=status)
        assert names(found)[name] == CASES[name], name
    approved = names(await cases(officer, status="approved"))
    assert [approved[name] for name in ("renewed", "moved", "blocked")] == [2, 1, 5]
    (incident,) = (await officer.get("/v1/incidents")).json()["items"]
    assert (incident["operators"], incident["closed_at"]) == (["ptcl"], None)
    held = (await officer.get("/v1/allowlist/held?released=false")).json()["items"]
    assert [each["kind"] for each in held] == ["removal"]

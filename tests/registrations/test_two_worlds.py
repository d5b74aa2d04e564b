"""No response tells whether the holder of an address at another partner is the same person as one's own applicant.

Two registers differ in one thing: in one of them the holder at the other partner has the identity number of the
caller's applicant, in the other somebody else's. All responses to the caller must be the same in both.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support import cases, postgres, statements, uploads
from tests.support.service import Caller, Service

# What is random or a moment in both.
RANDOM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|PK(-[0-9A-Z]+){3}")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
COMPARED_HEADERS = ("etag", "location", "content-type", "content-length")
_examples = count()

STATUSES = ["submitted", "in_review", "information_requested", "rejected", "approved", "suspended", "withdrawn"]
# Networks of a block of 16 addresses by their place in it, some of which hold others.
NETWORKS = ["0/30", "4/30", "8/29", "0/32", "1/32", "5/32", "8/32", "12/30", "13/32"]


@dataclass(frozen=True)
class Holding:
    """A case at the other partner; ``is_in_question`` if its applicant may be the caller's."""

    networks: tuple[str, ...]
    status: str
    is_in_question: bool


@dataclass(frozen=True)
class Scene:
    """The cases of the other partner, and the networks of the caller's requests, one after another."""

    holdings: tuple[Holding, ...]
    requests: tuple[tuple[str, ...], ...]
    kind: str = "individual"


def _apart(networks: Sequence[str]) -> bool:
    spans = [(int(at), int(at) + 2 ** (32 - int(length)) - 1) for at, length in (each.split("/") for each in networks)]
    return all(one[1] < two[0] for one, two in zip(sorted(spans), sorted(spans)[1:], strict=False))


several = st.lists(st.sampled_from(NETWORKS), min_size=1, max_size=3, unique=True).filter(_apart).map(tuple)
holdings = st.builds(Holding, several, st.sampled_from(STATUSES), st.booleans())
scenes = st.builds(
    Scene,
    st.lists(holdings, min_size=1, max_size=3).map(tuple),
    st.lists(several, min_size=1, max_size=3).map(tuple),
    st.sampled_from(["individual", "company"]),
)


@dataclass
class World:
    """A register, with all responses to the caller and the statements that they took."""

    service: Service
    caller: Caller
    other: Caller
    officer: Caller
    same_number: bool
    responses: list[str] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)

    def note(self, answer: httpx.Response) -> Any:
        """Note a response, without random values."""
        headers = {name: answer.headers[name] for name in COMPARED_HEADERS if name in answer.headers}
        whole = f"{answer.request.method} {answer.status_code} {headers} {answer.text}"
        self.responses.append(MOMENT.sub("MOMENT", RANDOM.sub("ID", whole)))
        return answer.json() if answer.headers["content-type"].endswith("json") else answer.text

    async def ask(self, method: str, path: str, **kwargs: Any) -> Any:
        """A request of the caller whose response is noted."""
        return self.note(await self.caller.request(method, path, **kwargs))


def _person(kind: str, number: int) -> dict[str, Any]:
    identity = {"cnic": f"90{number:03d}-7654321-1"} if kind == "individual" else {"ntn": f"7{number:06d}-1"}
    return {"kind": kind, "legal_name": "One of Many", "email": "one@many.example.pk", **identity}


def _track(kind: str) -> dict[str, str]:
    return {"track": "vpn_freelancer" if kind == "individual" else "vpn_company"}


async def _hold(world: World, scene: Scene, block: str, number: int) -> None:
    """Register the cases of the other partner, as far as they do not conflict with one another."""
    for at, each in enumerate(scene.holdings):
        is_same = each.is_in_question and world.same_number
        person = _person(scene.kind, number if is_same else number + 1 + at)
        made = (await world.other.post("/v1/applicants", json=person)).json()
        networks = [f"{block}.{network}" for network in each.networks]
        body = cases.registration(made["id"], networks=networks, **_track(scene.kind))
        answer = await world.other.post("/v1/registrations", json=body)
        if answer.status_code == 201:
            await _bring(world, answer.json(), each.status)


async def _bring(world: World, case: dict[str, Any], status: str) -> None:
    path, any_ = f"/v1/registrations/{case['id']}", {"If-Match": "*"}
    grounds = {"reason_codes": ["misuse"]}
    if status == "in_review":
        await world.officer.post(f"{path}/claim", headers=any_)
    elif status == "withdrawn":
        await world.other.post(f"{path}/withdraw", headers=any_)
    elif status in ("rejected", "information_requested"):
        action = "reject" if status == "rejected" else "request_information"
        await cases.decide(world.officer, case, action, **grounds)
    elif status in ("approved", "suspended"):
        await cases.decide(world.officer, case, "approve")
        if status == "suspended":
            await cases.decide(world.officer, {**case, "version": 2}, "suspend", legal_basis="Order 1", **grounds)


async def _register(world: World, scene: Scene, block: str, number: int, example_: int) -> None:
    """Register in every way: by a dry run, one by one with a repeat, by correction, and by upload."""
    person = _person(scene.kind, number)
    given_rows = [
        uploads.row(
            f"{example_}-{at}", applicant_kind=scene.kind, networks=" ".join(f"{block}.{each}" for each in networks),
            **{**_track(scene.kind), "ntn": "", **{name: text for name, text in person.items() if name != "kind"}},
        )
        for at, networks in enumerate(scene.requests)
    ]  # fmt: skip
    await _send(world, given_rows, dry_run=True)
    made = await world.ask("POST", "/v1/applicants", json=person)
    for at, networks in enumerate(scene.requests):
        body = cases.registration(
            made["id"],
            networks=[f"{block}.{each}" for each in networks],
            reference=f"{example_}-{at}",
            **_track(scene.kind),
        )
        for _ in range(2):
            await world.ask("POST", "/v1/registrations", json=body, headers={"Idempotency-Key": f"{example_}-{at}"})
    await _correct(world, scene, block, made["id"], example_)
    await _send(world, given_rows, dry_run=False)
    await world.ask("GET", f"/v1/registrations?applicant_id={made['id']}")
    await world.ask("GET", f"/v1/registrations?network={block}.0/28&flag=contested")


async def _send(world: World, rows: list[dict[str, str]], *, dry_run: bool) -> None:
    answer = await uploads.send(world.caller, uploads.csv_of(rows), dry_run=dry_run)
    async with statements.record_statements(world.service.database) as sent:
        await world.service.ingest_all(chunk_rows=2)
    world.statements += [each for each in sent if "registration" in each]
    for path in ("", "/rows", "/problems.csv", "/refused.csv"):
        world.note(await world.caller.get(answer.headers["Location"] + path))


async def _correct(world: World, scene: Scene, block: str, applicant: str, example_: int) -> None:
    elsewhere = f"58.65.{128 + example_ // 250}.{example_ % 250 + 1}"
    body = cases.registration(applicant, networks=[elsewhere], **_track(scene.kind))
    case = await world.ask("POST", "/v1/registrations", json=body)
    await cases.decide(world.officer, case, "request_information", reason_codes=["document_missing"])
    path, any_ = f"/v1/registrations/{case['id']}", {"If-Match": "*"}
    for networks in scene.requests:
        change = {"networks": [f"{block}.{each}" for each in networks]}
        await world.ask("PATCH", path, json=change, headers=any_)
    await world.ask("POST", f"{path}/submit", headers=any_)
    for suffix in ("", "/history"):
        await world.ask("GET", path + suffix)
    await world.ask("POST", f"{path}/withdraw", headers=any_)


@asynccontextmanager
async def world(server_url: str, *, same_number: bool) -> AsyncIterator[World]:
    """A register of its own with the caller, a caller of another partner, and an officer."""
    url = await postgres.clone(server_url)
    limits = {"rate_limit_write": 0, "rate_limit_read": 0, "rate_limit_upload": 0}
    service = Service(postgres.settings_for(url, **limits))
    caller, other, officer = await service.caller("pseb"), await service.caller("pasha"), await service.officer()
    try:
        yield World(service, caller, other, officer, same_number)
    finally:
        await service.close()
        await postgres.drop(server_url, url)


async def _played(worlds: Sequence[World], scene: Scene) -> None:
    number = next(_examples)
    block, people = f"203.99.{number}", 10 * number
    for each in worlds:
        await _hold(each, scene, block, people)
        await _register(each, scene, block, people, number)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_response_depends_on_who_holds_an_address_at_another_partner(server_url: str) -> None:
    with asyncio.Runner() as runner:
        both = AsyncExitStack()
        opened = (both.enter_async_context(world(server_url, same_number=same)) for same in (True, False))
        try:
            worlds = [runner.run(each) for each in opened]
            _compare(runner, worlds)
        finally:
            runner.run(both.aclose())


def _compare(runner: asyncio.Runner, worlds: Sequence[World]) -> None:
    @settings(max_examples=8, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(scene=scenes)
    @example(Scene((Holding(("0/30",), "approved", True),), (("1/32",), ("0/30", "8/29"))))
    @example(Scene((Holding(("0/30", "8/29"), "submitted", True),), (("1/32", "8/32"),), "company"))
    def holds(scene: Scene) -> None:
        for each in worlds:
            each.responses.clear()
            each.statements.clear()
        runner.run(_played(worlds, scene))
        one, two = worlds
        assert one.responses == two.responses
        assert one.statements == two.statements

    holds()

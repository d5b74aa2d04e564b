"""A run: clients at work and kills at random, then a comparison of the settled register with the journal."""

import asyncio
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain, repeat
from queue import Queue
from random import Random
from threading import Event

from app.partners.rules import PartnerKind
from app.uploader.client import Refused, ServiceClient, Unreachable
from tests.support import processes
from tests.support.service import Credentials, Service
from tests.torture.clients import Association, Officer, Stuck, Work, connected
from tests.torture.journal import Case, Fact, Journal
from tests.torture.register import AWAY
from tests.torture.stack import Stack, Victim, running

# Any ten kills meet each kind of victim.
DECK = (
    Victim.API, Victim.API, Victim.WORKER, Victim.WORKER, Victim.WORKER, Victim.READER, Victim.BACKEND,
    Victim.POSTMASTER, Victim.DATABASE, Victim.EVERYTHING,
)  # fmt: skip
PARTNERS = ("pseb", "pasha", "pseb", "pasha")
MAX_PAUSE_SECONDS, MAX_DOWNTIME_SECONDS = 2.0, 0.5
SHARE_IN_HASTE, SHARE_LOST = 0.2, 0.1
SETTLE_SECONDS = 180
TOLD_EVERY = 20
UNDER_WAY = "SELECT count(*) FROM bulk_uploads WHERE status = 'processing'"


@dataclass
class Outcome:
    """The result of a run. ``faults`` is empty when every promise was kept."""

    kills: Counter[Victim] = field(default_factory=Counter)
    met_uploads: int = 0
    readiness: dict[Victim, list[float]] = field(default_factory=dict)
    seconds: float = 0.0
    answers: Counter[str] = field(default_factory=Counter)
    expected: Counter[Fact] = field(default_factory=Counter)
    found: Counter[Fact] = field(default_factory=Counter)
    complaints: list[str] = field(default_factory=list)

    @property
    def lost(self) -> Counter[Fact]:
        """Facts that were acknowledged to clients and that the register does not have."""
        return self.expected - self.found

    @property
    def surplus(self) -> Counter[Fact]:
        """Facts that the register has twice, or that nobody asked for."""
        return self.found - self.expected

    @property
    def faults(self) -> list[str]:
        """Every broken promise."""
        lost = [f"lost: {fact}" for fact in self.lost]
        return [*self.complaints, *lost, *(f"twice, or not asked for: {fact}" for fact in self.surplus)]


def run(kills: int, seed: int, tell: Callable[[str], None] = lambda _: None) -> Outcome:
    """Run so many kills at random, with progress reported by ``tell``.

    ``seed`` fixes victims, pauses and files, not what the processes make of them.
    """
    random = Random(seed)
    journal, outcome = Journal(), Outcome()
    with running(random) as stack:
        if not asyncio.run(stack.register.is_durable()):
            journal.complain("PostgreSQL does not flush what it commits: the run shows nothing")
        began = time.monotonic()
        who = asyncio.run(_credentials(stack))
        with _at_work(stack, who, journal, random):
            for number, victim in enumerate(_victims(kills, random), 1):
                _kill_and_restart(stack, victim, random, outcome)
                if number % TOLD_EVERY == 0:
                    tell(f"{number} of {kills} kills")
            stack.wait_until_ready()
        outcome.seconds = time.monotonic() - began
        _settle(stack, who, journal)
        outcome.expected = journal.facts()
        outcome.found = asyncio.run(stack.register.facts())
        with connected(stack.url, who["second-officer"], journal) as client:
            outcome.found.update(
                ("network on the list", each) for each in client.get("/v1/allowlist").json()["networks"]
            )
        _verify(stack, journal)
    outcome.answers, outcome.complaints = journal.answers, journal.complaints
    return outcome


async def _credentials(stack: Stack) -> dict[str, Credentials]:
    service = Service(stack.settings)
    try:
        regulator = {
            name: await service.credentials("pta", PartnerKind.REGULATOR, client=name, person=name)
            for name in ("officer", "second-officer")
        }
        return {**regulator, **{name: await service.credentials(name) for name in set(PARTNERS)}}
    finally:
        await service.close()


def _victims(kills: int, random: Random) -> Iterator[Victim]:
    decks = chain.from_iterable(random.sample(DECK, len(DECK)) for _ in repeat(None))
    return (victim for _, victim in zip(range(kills), decks, strict=False))


def _kill_and_restart(stack: Stack, victim: Victim, random: Random, outcome: Outcome) -> None:
    """Kill once and restart; now and then the next kill comes before everything is ready."""
    time.sleep(random.uniform(0, MAX_PAUSE_SECONDS))
    with suppress(*AWAY):  # the database may not be back from the kill before
        outcome.met_uploads += bool(asyncio.run(stack.register.one(UNDER_WAY)))
    met = stack.kill(victim)
    outcome.kills[met] += 1
    time.sleep(random.uniform(0, MAX_DOWNTIME_SECONDS))
    began = time.monotonic()
    stack.start()
    if random.random() >= SHARE_IN_HASTE:
        stack.wait_until_ready()
        outcome.readiness.setdefault(met, []).append(time.monotonic() - began)


@contextmanager
def _at_work(stack: Stack, who: dict[str, Credentials], journal: Journal, random: Random) -> Iterator[None]:
    """Run four systems of associations and an officer during the block; each finishes its work."""
    work: Queue[Work] = Queue()
    approved: dict[str, Queue[Case]] = {name: Queue() for name in PARTNERS}
    ended = Event()
    with ExitStack() as connections:

        def client(name: str) -> ServiceClient:
            return connections.enter_context(connected(stack.url, who[name], journal, SHARE_LOST))

        turns = [
            Association(client(name), name, journal, work, approved[name], Random(random.getrandbits(64))).turn
            for name in PARTNERS
        ]
        turns.append(Officer(client("officer"), journal, work, approved, Random(random.getrandbits(64))).turn)
        with ThreadPoolExecutor(len(turns)) as threads:
            running_ = [threads.submit(_take_turns, turn, ended, journal) for turn in turns]
            try:
                yield
            finally:
                ended.set()
                journal.peace_since = time.monotonic()
            _raise_errors(running_)


def _take_turns(turn: Callable[[], None], ended: Event, journal: Journal) -> None:
    while not ended.is_set():
        try:
            turn()
        except (Refused, Unreachable, Stuck) as no:
            journal.complain(f"a client could not go on: {no}")


def _raise_errors(running_: list[Future[None]]) -> None:
    for each in running_:
        each.result()


def _settle(stack: Stack, who: dict[str, Credentials], journal: Journal) -> None:
    """Release held changes, and wait until all is published and every event has its leaf."""
    deadline = time.monotonic() + SETTLE_SECONDS
    with connected(stack.url, who["second-officer"], journal) as client:
        officer = Officer(client, journal, Queue(), {}, Random(0))
        while not asyncio.run(stack.register.is_settled()):
            assert time.monotonic() < deadline, "the register did not settle"
            officer.release_held()
            time.sleep(0.2)


def _verify(stack: Stack, journal: Journal) -> None:
    """Check what an operator would: the audit log, the sequence of publications, and that no process is left over."""
    command = [sys.executable, "-m", "app.cli", "audit", "verify"]
    done = subprocess.run(
        command, env=processes.environment(stack.settings), capture_output=True, text=True, check=False
    )
    if done.returncode:
        journal.complain(f"audit verify found: {done.stderr}")
    if asyncio.run(stack.register.publications_missing()):
        journal.complain("publications are missing")
    if left := stack.count_orphans():
        journal.complain(f"{left} processes outlived the worker that started them")

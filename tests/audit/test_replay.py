"""Replay finds every edit, deletion, insertion and reordering of the log, also with a forged tree."""

import random
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from joserfc.jwk import KeySet, OKPKey
from uuid_utils.compat import uuid7

from app.audit import checkpoint, tree
from app.audit.entry import event_leaf_hash
from app.audit.errors import VerificationFailed
from app.audit.replay import RecordedCheckpoint, RecordedLeaf, RecordedTree, replay
from app.audit.tree import Frontier
from app.core.auth.signatures import ALGORITHM
from app.events.models import Event

SIZE, MIDDLE, CHECKPOINT_EVERY, TAMPERINGS = 60, 28, 4, 10_000
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def a_key() -> OKPKey:
    return OKPKey.generate_key("Ed25519", {"use": "sig", "alg": ALGORITHM}, auto_kid=True)


def random_event(chance: random.Random, number: int) -> Event:
    return Event(
        id=uuid7(),
        occurred_at=NOON + timedelta(microseconds=number),
        name=chance.choice(["registration.submitted", "registration.approved"]),
        subject_id=uuid7(),
        partner_id=uuid7(),
        operator=chance.choice(["nayatel", "ptcl", None]),
        actor_client_id=uuid7(),
        actor_partner_id=uuid7(),
        details={"networks": [f"203.99.50.{number}/32"], "note": "As agreed.", "count": number},
    )


def grown(frontier: Frontier, events: Sequence[Event], key: OKPKey, recorded: RecordedTree) -> RecordedTree:
    """Return ``recorded`` with the leaves, nodes and checkpoints of a tree that grows by ``events``."""
    leaves, hashes, checkpoints = dict(recorded.leaves), dict(recorded.hashes), dict(recorded.checkpoints)
    for event in events:
        salt = b"salt" * 8
        leaves[frontier.size] = RecordedLeaf(event.id, salt)
        hashes.update(frontier.append(event_leaf_hash(event, frontier.size, salt)))
        if frontier.size % CHECKPOINT_EVERY == 0:
            signed = checkpoint.sign("https://register.example.pk", frontier.size, frontier.root(), NOON, key)
            checkpoints[frontier.size] = RecordedCheckpoint(frontier.root(), NOON, signed)
    return RecordedTree(SIZE, leaves, hashes, checkpoints)


class Log:
    """A log with its recorded tree, and the frontier before each event."""

    def __init__(self, chance: random.Random) -> None:
        self.key = a_key()
        self.keys = KeySet([self.key])
        self.events = [random_event(chance, number) for number in range(SIZE)]
        frontier, self.before, self.recorded = Frontier(), [], RecordedTree(SIZE, {}, {}, {})
        for event in self.events:
            self.before.append(deepcopy(frontier))
            self.recorded = grown(frontier, [event], self.key, self.recorded)

    def replay(self, events: Sequence[Event], recorded: RecordedTree, start: int = 0) -> None:
        replay(deepcopy(self.before[start]), events[start:], recorded, self.keys)


@pytest.fixture(scope="module")
def log() -> Log:
    return Log(random.Random(1))


def copy_of(event: Event, **changes: Any) -> Event:
    columns = ("id", "occurred_at", "name", "subject_id", "partner_id", "operator", "actor_client_id",
               "actor_partner_id", "details")  # fmt: skip
    return Event(**{**{name: getattr(event, name) for name in columns}, **changes})


def edited(chance: random.Random, event: Event) -> Event:
    """Return a copy of an event with one small change."""
    details = dict(event.details)
    column = chance.choice(["id", "occurred_at", "name", "subject_id", "partner_id", "operator", "actor_client_id",
                            "actor_partner_id", "note", "networks", "count", "added", "removed"])  # fmt: skip
    if column in ("id", "subject_id", "partner_id", "actor_client_id", "actor_partner_id"):
        value: UUID = getattr(event, column)
        return copy_of(event, **{column: UUID(int=value.int ^ 1 << chance.randrange(64))})
    if column == "occurred_at":
        return copy_of(event, occurred_at=event.occurred_at + timedelta(microseconds=chance.choice([-1, 1])))
    if column == "name":
        return copy_of(event, name=event.name + chance.choice(["", "d"]) + " ")
    if column == "operator":
        return copy_of(event, operator=chance.choice(["jazz", ""]))
    match column:
        case "note":
            details["note"] = chance.choice([None, "", "As agreed", "As agreed. "])
        case "networks":
            details["networks"] = chance.choice([[], details["networks"] * 2, "203.99.50.0/32"])
        case "count":
            details["count"] = chance.choice([str(details["count"]), details["count"] + 1, None])
        case "added":
            details[chance.choice(["legal_basis", "other"])] = None
        case _:
            del details[chance.choice(list(details))]
    return copy_of(event, details=details)


def edit(chance: random.Random, events: list[Event]) -> int:
    place = chance.randrange(SIZE)
    events[place] = edited(chance, events[place])
    return place


def delete(chance: random.Random, events: list[Event]) -> int:
    place = chance.randrange(SIZE)
    del events[place : place + chance.choice([1, 1, 2, SIZE])]
    return place


def insert(chance: random.Random, events: list[Event]) -> int:
    place = chance.randrange(SIZE)
    events.insert(place, chance.choice([random_event(chance, place), copy_of(chance.choice(events))]))
    return place


def reorder(chance: random.Random, events: list[Event]) -> int:
    place, other = sorted(chance.sample(range(SIZE), 2))
    events[place], events[other] = events[other], events[place]
    return place


KINDS: list[Callable[[random.Random, list[Event]], int]] = [edit, delete, insert, reorder]


def forged(log: Log, events: Sequence[Event], place: int, key: OKPKey | None) -> RecordedTree:
    """Return the tree rebuilt over a changed log, signed by a forger's key, or with the old signatures in place."""
    upto = (place // CHECKPOINT_EVERY + 2) * CHECKPOINT_EVERY
    rebuilt = grown(deepcopy(log.before[place]), events[place:upto], key or a_key(), log.recorded)
    if key is None:
        genuine = {size: replace(each, signed=log.recorded.checkpoints[size].signed)
                   for size, each in rebuilt.checkpoints.items() if size in log.recorded.checkpoints}  # fmt: skip
        return replace(rebuilt, checkpoints=genuine)
    return rebuilt


def test_an_unchanged_log_matches_its_tree(log: Log) -> None:
    log.replay(log.events, log.recorded)
    for start in (1, 17, SIZE - 1):
        log.replay(log.events, log.recorded, start)


@pytest.mark.slow
def test_all_of_ten_thousand_random_changes_are_found(log: Log) -> None:
    chance, forger = random.Random(2), a_key()
    for number in range(TAMPERINGS):
        events, recorded = list(log.events), log.recorded
        place = KINDS[number % len(KINDS)](chance, events)
        if number % 5 == 0 and len(events) > place + 2 * CHECKPOINT_EVERY:
            recorded = forged(log, events, place, chance.choice([forger, None]))
        with pytest.raises(VerificationFailed):
            log.replay(events, recorded, place)


def test_every_change_of_the_recorded_tree_is_found(log: Log) -> None:
    recorded, key = log.recorded, a_key()
    middle = recorded.checkpoints[MIDDLE]
    wrong: list[tuple[int, RecordedTree]] = [
        *(
            (node.position << node.level, replace(recorded, hashes={**recorded.hashes, node: bytes(32)}))
            for node in recorded.hashes
        ),
        *(
            (place, replace(recorded, leaves={**recorded.leaves, place: each}))
            for place, leaf in recorded.leaves.items()
            for each in (replace(leaf, salt=b""), replace(leaf, event_id=log.events[place - 1].id))
        ),
        *(
            (n, replace(recorded, leaves={at: leaf for at, leaf in recorded.leaves.items() if at != n}))
            for n in range(SIZE)
        ),
        *(
            (MIDDLE - 1, replace(recorded, checkpoints={**recorded.checkpoints, MIDDLE: each}))
            for each in (
                replace(middle, root=bytes(32)),
                replace(middle, signed_at=NOON + timedelta(days=1)),
                replace(middle, signed=recorded.checkpoints[SIZE].signed),
                replace(middle, signed=middle.signed[:-8] + "AAAAAAAA"),
                replace(middle, signed="nonsense"),
                replace(middle, signed=checkpoint.sign("x", MIDDLE, middle.root, NOON, key)),
                RecordedCheckpoint(bytes(32), NOON, checkpoint.sign("x", MIDDLE, bytes(32), NOON, log.key)),
            )
        ),
    ]
    assert len(wrong) > 200
    for start, each in wrong:
        with pytest.raises(VerificationFailed):
            log.replay(log.events, each, start)


@pytest.mark.parametrize("details", [None, [], "note", {"count": 10**30}])
def test_details_without_a_canonical_form_fail_the_verification(log: Log, details: Any) -> None:
    events = [copy_of(log.events[0], details=details), *log.events[1:]]
    with pytest.raises(VerificationFailed, match=r"Position 0: event .* has no canonical form"):
        log.replay(events, log.recorded)


def test_the_first_difference_is_named_by_its_position_and_event(log: Log) -> None:
    events = list(log.events)
    events[9] = copy_of(events[9], name="registration.never")
    del events[20]
    with pytest.raises(VerificationFailed, match=f"Position 9: the leaf of event {events[9].id}"):
        log.replay(events, log.recorded)
    del events[9]
    with pytest.raises(
        VerificationFailed, match=f"Position 9: the log continues with event {log.events[10].id}, the tree with"
    ):
        log.replay(events, log.recorded)
    with pytest.raises(VerificationFailed, match=f"Position {SIZE - 1}: the log ends here, the tree at {SIZE}"):
        log.replay(log.events[:-1], log.recorded)
    assert tree.node_count(SIZE) == len(log.recorded.hashes)

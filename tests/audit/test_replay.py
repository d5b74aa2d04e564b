"""No edit, deletion, insertion or reorder of the log passes, however carefully the tree was changed with it."""

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
from app.audit.entry import leaf_of
from app.audit.errors import Difference
from app.audit.replay import Kept, KeptCheckpoint, KeptLeaf, replay
from app.audit.tree import Frontier
from app.core.auth.bearer import ALGORITHM
from app.events.models import Event

SIZE, MIDDLE, CHECKPOINT_EVERY, TAMPERINGS = 60, 28, 4, 10_000
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def a_key() -> OKPKey:
    return OKPKey.generate_key("Ed25519", {"use": "sig", "alg": ALGORITHM}, auto_kid=True)


def happened(chance: random.Random, number: int) -> Event:
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


def grown(frontier: Frontier, events: Sequence[Event], key: OKPKey, kept: Kept) -> Kept:
    """What is kept when the tree grows by ``events``: all that ``kept`` holds already, and over it the new."""
    leaves, hashes, checkpoints = dict(kept.leaves), dict(kept.hashes), dict(kept.checkpoints)
    for event in events:
        salt = b"salt" * 8
        leaves[frontier.size] = KeptLeaf(event.id, salt)
        hashes.update(frontier.append(leaf_of(event, frontier.size, salt)))
        if frontier.size % CHECKPOINT_EVERY == 0:
            signed = checkpoint.sign("https://register.example.pk", frontier.size, frontier.root(), NOON, key)
            checkpoints[frontier.size] = KeptCheckpoint(frontier.root(), NOON, signed)
    return Kept(SIZE, leaves, hashes, checkpoints)


class Log:
    """A log with its tree, and the tree's right edge as it was before each event."""

    def __init__(self, chance: random.Random) -> None:
        self.key = a_key()
        self.keys = KeySet([self.key])
        self.events = [happened(chance, number) for number in range(SIZE)]
        frontier, self.before, self.kept = Frontier(), [], Kept(SIZE, {}, {}, {})
        for event in self.events:
            self.before.append(deepcopy(frontier))
            self.kept = grown(frontier, [event], self.key, self.kept)

    def replay(self, events: Sequence[Event], kept: Kept, start: int = 0) -> None:
        replay(deepcopy(self.before[start]), events[start:], kept, self.keys)


@pytest.fixture(scope="module")
def log() -> Log:
    return Log(random.Random(1))


def copy_of(event: Event, **changes: Any) -> Event:
    columns = ("id", "occurred_at", "name", "subject_id", "partner_id", "operator", "actor_client_id",
               "actor_partner_id", "details")  # fmt: skip
    return Event(**{**{name: getattr(event, name) for name in columns}, **changes})


def edited(chance: random.Random, event: Event) -> Event:
    """The event with one thing in it changed a little."""
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
    events.insert(place, chance.choice([happened(chance, place), copy_of(chance.choice(events))]))
    return place


def reorder(chance: random.Random, events: list[Event]) -> int:
    place, other = sorted(chance.sample(range(SIZE), 2))
    events[place], events[other] = events[other], events[place]
    return place


KINDS: list[Callable[[random.Random, list[Event]], int]] = [edit, delete, insert, reorder]


def forged(log: Log, events: Sequence[Event], place: int, key: OKPKey | None) -> Kept:
    """The tree rebuilt over a changed log; roots signed with the forger's key, or the old signatures left in place."""
    upto = (place // CHECKPOINT_EVERY + 2) * CHECKPOINT_EVERY
    rebuilt = grown(deepcopy(log.before[place]), events[place:upto], key or a_key(), log.kept)
    if key is None:
        genuine = {size: replace(each, signed=log.kept.checkpoints[size].signed)
                   for size, each in rebuilt.checkpoints.items() if size in log.kept.checkpoints}  # fmt: skip
        return replace(rebuilt, checkpoints=genuine)
    return rebuilt


def test_a_log_that_nobody_touched_is_what_its_tree_says(log: Log) -> None:
    log.replay(log.events, log.kept)
    for start in (1, 17, SIZE - 1):
        log.replay(log.events, log.kept, start)


@pytest.mark.slow
def test_none_of_ten_thousand_random_changes_passes(log: Log) -> None:
    chance, forger = random.Random(2), a_key()
    for number in range(TAMPERINGS):
        events, kept = list(log.events), log.kept
        place = KINDS[number % len(KINDS)](chance, events)
        if number % 5 == 0 and len(events) > place + 2 * CHECKPOINT_EVERY:
            kept = forged(log, events, place, chance.choice([forger, None]))
        with pytest.raises(Difference):
            log.replay(events, kept, place)


def test_no_change_of_what_was_kept_passes(log: Log) -> None:
    kept, key = log.kept, a_key()
    middle = kept.checkpoints[MIDDLE]
    wrong: list[tuple[int, Kept]] = [
        *(
            (node.position << node.level, replace(kept, hashes={**kept.hashes, node: bytes(32)}))
            for node in kept.hashes
        ),
        *(
            (place, replace(kept, leaves={**kept.leaves, place: each}))
            for place, leaf in kept.leaves.items()
            for each in (replace(leaf, salt=b""), replace(leaf, event_id=log.events[place - 1].id))
        ),
        *((n, replace(kept, leaves={at: leaf for at, leaf in kept.leaves.items() if at != n})) for n in range(SIZE)),
        *(
            (MIDDLE - 1, replace(kept, checkpoints={**kept.checkpoints, MIDDLE: each}))
            for each in (
                replace(middle, root=bytes(32)),
                replace(middle, signed_at=NOON + timedelta(days=1)),
                replace(middle, signed=kept.checkpoints[SIZE].signed),
                replace(middle, signed=middle.signed[:-8] + "AAAAAAAA"),
                replace(middle, signed="nonsense"),
                replace(middle, signed=checkpoint.sign("x", MIDDLE, middle.root, NOON, key)),
                KeptCheckpoint(bytes(32), NOON, checkpoint.sign("x", MIDDLE, bytes(32), NOON, log.key)),
            )
        ),
    ]
    assert len(wrong) > 200
    for start, each in wrong:
        with pytest.raises(Difference):
            log.replay(log.events, each, start)


@pytest.mark.parametrize("details", [None, [], "note", {"count": 10**30}])
def test_details_that_have_no_canonical_form_are_a_difference_and_no_fault(log: Log, details: Any) -> None:
    events = [copy_of(log.events[0], details=details), *log.events[1:]]
    with pytest.raises(Difference, match=r"Position 0: event .* has no canonical form"):
        log.replay(events, log.kept)


def test_the_first_difference_is_named_by_its_position_and_event(log: Log) -> None:
    events = list(log.events)
    events[9] = copy_of(events[9], name="registration.never")
    del events[20]
    with pytest.raises(Difference, match=f"Position 9: the leaf of event {events[9].id}"):
        log.replay(events, log.kept)
    del events[9]
    with pytest.raises(Difference, match=f"Position 9: the log goes on with event {log.events[10].id}, the tree with"):
        log.replay(events, log.kept)
    with pytest.raises(Difference, match=f"Position {SIZE - 1}: the log ends here, the tree at {SIZE}"):
        log.replay(log.events[:-1], log.kept)
    assert tree.subtrees_of(SIZE) == len(log.kept.hashes)

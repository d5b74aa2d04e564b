"""A removal and the additions that replace it are held and released together, so that no address of both is off."""

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.allowlist.guards import Change, HeldKind, Hold, find_waiting
from app.core.validation.networks import parse_canonical
from tests.support import cases
from tests.support.feed import FEED
from tests.support.service import Caller, Service

NETWORKS = [f"203.99.50.{start}/{length}" for length in (29, 30, 31, 32) for start in range(0, 16, 2 ** (32 - length))]


def _are_disjoint(networks: list[str]) -> bool:
    spans = sorted(parse_canonical(each)[:2] for each in networks)
    return all(one[1] < two[0] for one, two in pairwise(spans))


disjoint = st.lists(st.sampled_from(NETWORKS), unique=True, max_size=6).filter(_are_disjoint)


async def listed(caller: Caller) -> set[str]:
    return set((await caller.get(f"{FEED}?format=text")).text.splitlines())


async def approve_all(officer: Caller, made: list[dict[str, Any]]) -> None:
    flags = ["operator_prefix_mismatch", "outside_country"]
    selection = {"registration_ids": [each["id"] for each in made]}
    body = {"selection": selection, "action": "approve", "including_flags": flags}
    answer = await officer.post("/v1/review-decisions/batch", json=body)
    assert answer.json()["counts"]["decided"] == len(made), answer.text


async def replaced(
    caller: Caller, officer: Caller, before: dict[int, list[str]], after: dict[int, list[str]]
) -> list[dict[str, Any]]:
    """Approve and publish cases, and submit their successors without a hand-over."""
    old = {n: await cases.approved(caller, officer, networks=networks) for n, networks in before.items()}
    await caller.service.publish()
    made = []
    for n, case in old.items():
        body = cases.registration(case["applicant_id"], networks=after[n], replaces=case["id"], handover_hours=0)
        made.append((await caller.post("/v1/registrations", json=body)).json())
    return made


async def test_many_networks_that_become_narrower_wait_with_their_narrower_ones(
    service: Service, pseb: Caller, officer: Caller, admin: Caller
) -> None:
    wide, narrow = ({n: [f"203.99.50.{8 * n}/{length}"] for n in range(12)} for length in (29, 30))
    made = await replaced(pseb, officer, wide, narrow)
    await approve_all(officer, made)
    assert await service.publish() is None
    assert await listed(pseb) == {network for networks in wide.values() for network in networks}
    (held,) = (await admin.get(f"{FEED}/held")).json()["items"]
    assert (held["kind"], held["count"]) == ("removal", 12)

    # one of them is moved on meanwhile, and taken back as it was
    current = (await pseb.get(f"/v1/registrations/{made[0]['id']}")).json()
    body = cases.registration(current["applicant_id"], networks=wide[0], replaces=current["id"], handover_hours=0)
    back = (await pseb.post("/v1/registrations", json=body)).json()
    assert (await cases.decide(officer, back, "approve")).status_code == 201
    assert await service.publish() is None
    assert (await admin.post(f"{FEED}/held/{held['id']}/release")).status_code == 200
    publication = await service.publish()
    assert publication is not None
    assert (publication.added, publication.removed) == (11, 11)
    expected = {network for n, networks in narrow.items() if n for network in networks}
    assert await listed(pseb) == expected | set(wide[0])


async def test_many_networks_that_become_wider_change_at_once(service: Service, pseb: Caller, officer: Caller) -> None:
    narrow = {n: [f"203.99.50.{8 * n}/30", f"203.99.50.{8 * n + 5}"] for n in range(12)}
    wide = {n: [f"203.99.50.{8 * n}/29"] for n in range(12)}
    await approve_all(officer, await replaced(pseb, officer, narrow, wide))
    publication = await service.publish()
    assert publication is not None
    assert (publication.added, publication.removed, publication.exempt_removed) == (12, 24, 24)
    assert await listed(pseb) == {network for networks in wide.values() for network in networks}


@given(disjoint, disjoint, st.integers(0, 2**12))
def test_whatever_is_held_the_rest_neither_overlaps_nor_takes_an_address_off(
    old: list[str], new: list[str], chosen: int
) -> None:
    """The changes of one serial are those from ``old`` to ``new``, and the bits of ``chosen`` are the held ones."""
    removed = [Change(n, each, True, False) for n, each in enumerate(old) if each not in new]
    added = [Change(100 + n, each, True, False) for n, each in enumerate(new) if each not in old]
    every = [*removed, *added]
    # a removal that additions cover is never held by itself
    covered = {each.entry_id for each in removed if any(_contains(other.network, each.network) for other in added)}
    held = [each for n, each in enumerate(every) if chosen >> n & 1 and each.entry_id not in covered]
    holds = [Hold(HeldKind.REMOVAL, [each.entry_id for each in held], 0, 0)]
    stopped = find_waiting(added, removed, holds) | {each.entry_id for each in held}
    gone = {each.network for each in removed if each.entry_id not in stopped}
    come = {each.network for each in added if each.entry_id not in stopped}
    after = [each for each in old if each not in gone] + sorted(come)
    assert _are_disjoint(after)
    both = _addresses(old) & _addresses(new)
    assert both <= _addresses(after)


def _contains(wide: str, narrow: str) -> bool:
    one, other = parse_canonical(wide), parse_canonical(narrow)
    return one.first <= other.first and other.last <= one.last


def _addresses(networks: list[str]) -> set[int]:
    return {each for text in networks for each in range(parse_canonical(text).first, parse_canonical(text).last + 1)}

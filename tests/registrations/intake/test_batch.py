"""Batches: what is known of items without the register, in parts of a batch and across processes."""

import pickle
from uuid import UUID

from app.operators.rules import PrefixTable
from app.registrations.intake.batch import Batch
from app.registrations.rules import RegistrationRequest

PREFIXES = PrefixTable([("nayatel", "203.99.160.0/20"), (None, "203.99.0.0/16")])


def request(reference: str | None, operator: str, *networks: str) -> RegistrationRequest:
    return RegistrationRequest(
        UUID(int=1), "vpn_company", "it_services", "ipsec", operator, None, networks, reference, None
    )


ITEMS = [
    request("a", "nayatel", "203.99.160.5/32", "203.99.161.0/24"),
    request(None, "nobody", "203.99.160.9/32"),
    request("c", "nayatel", "203.99.161.8/29", "39.32.0.7/32"),
]


def test_a_batch_knows_flags_overlaps_and_unknown_operators_by_position() -> None:
    batch = Batch.of(ITEMS, PREFIXES)
    assert batch.flags == [(), ("operator_prefix_mismatch",), ("outside_country", "operator_prefix_mismatch")]
    assert (batch.overlapping_items, batch.unknown_operators) == (frozenset({0, 2}), {1: None})
    assert len(set(batch.ids)) == 3


def test_a_part_of_a_batch_keeps_ids_and_locks_and_counts_positions_anew() -> None:
    batch = Batch.of(ITEMS, PREFIXES)
    part = batch.at([1, 2])
    assert (part.items, part.ids, part.locks) == (ITEMS[1:], batch.ids[1:], batch.locks)
    assert (part.overlapping_items, part.unknown_operators) == (frozenset({1}), {0: None})
    assert batch.at([0, 1, 2]) is batch


def test_a_batch_is_the_same_in_another_process() -> None:
    for items in (ITEMS, []):
        batch = Batch.of(items, PREFIXES)
        assert pickle.loads(pickle.dumps(batch)) == batch


def test_an_operator_written_otherwise_is_known_by_its_code() -> None:
    items = [request(None, name, "203.99.160.9/32") for name in ("Nayatel", "Nayatel (Pvt) Ltd", "nayatel")]
    assert Batch.of(items, PREFIXES).unknown_operators == {0: "nayatel", 1: None}

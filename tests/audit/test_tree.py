"""The Merkle tree of RFC 9162: published vectors, valid proofs, and rejection of all others."""

from collections.abc import Sequence
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audit import tree
from app.audit.tree import Frontier, LeafRange, Node

# The vectors that the implementations of Certificate Transparency share.
ENTRIES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
CONSISTENCY = {
    (1, 1): [],
    (1, 8): INCLUSION[0, 8],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
    (6, 7): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
}
SIZES = st.integers(1, 300)


class SampleTree:
    """A tree of the published entries, then of numbers, with the hashes of all its nodes and its root at every size."""

    def __init__(self, size: int) -> None:
        self.leaves = [tree.leaf_hash(ENTRIES[n] if n < len(ENTRIES) else str(n).encode()) for n in range(size)]
        self.hashes: dict[Node, bytes] = {}
        self.roots = [Frontier().root()]
        frontier = Frontier()
        for leaf in self.leaves:
            self.hashes.update(frontier.append(leaf))
            self.roots.append(frontier.root())

    def inclusion(self, position: int, size: int) -> list[bytes]:
        return tree.proof_hashes(tree.inclusion_path(position, size), self.hashes)

    def consistency(self, first: int, second: int) -> list[bytes]:
        return tree.proof_hashes(tree.consistency_path(first, second), self.hashes)


TREE = SampleTree(300)


def root_by_definition(leaves: Sequence[bytes]) -> bytes:
    """Return the root as RFC 9162, 2.1.1 defines it."""
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256().digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return tree.node_hash(root_by_definition(leaves[:split]), root_by_definition(leaves[split:]))


def invalid_proofs(path: Sequence[bytes], number: int) -> list[list[bytes]]:
    """Return copies of a proof with a flipped bit, a hash too few, too many or in another place."""
    turned = [bytes([each[0] ^ 1]) + each[1:] if n == number % len(path) else each for n, each in enumerate(path)]
    changed = [turned, list(path[:-1]), list(path[1:]), [*path, path[0]], [path[-1], *path], [*path, b""]]
    return [each for each in changed if each != list(path)]


def test_the_roots_are_the_published_ones() -> None:
    assert [root.hex() for root in TREE.roots[1:9]] == ROOTS
    assert TREE.roots[0].hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_leaves_and_inner_nodes_are_hashed_apart_by_their_first_byte() -> None:
    assert [tree.leaf_hash(ENTRIES[0]).hex(), tree.node_hash(*map(tree.leaf_hash, ENTRIES[:2])).hex()] == ROOTS[:2]


@pytest.mark.parametrize(("position", "size"), INCLUSION)
def test_a_published_inclusion_proof_is_produced_and_verified(position: int, size: int) -> None:
    path = TREE.inclusion(position, size)
    assert [each.hex() for each in path] == INCLUSION[position, size]
    assert tree.verify_inclusion(bytes.fromhex(ROOTS[size - 1]), size, TREE.leaves[position], position, path)


@pytest.mark.parametrize(("first", "second"), CONSISTENCY)
def test_a_published_consistency_proof_is_produced_and_verified(first: int, second: int) -> None:
    path = TREE.consistency(first, second)
    assert [each.hex() for each in path] == CONSISTENCY[first, second]
    roots = [bytes.fromhex(ROOTS[size - 1]) for size in (second, first)]
    assert tree.verify_consistency(roots[0], second, roots[1], first, path)


def test_no_proof_is_accepted_for_positions_outside_the_tree_or_for_sizes_in_the_wrong_order() -> None:
    root, leaf = TREE.roots[1], TREE.leaves[0]
    assert tree.verify_inclusion(root, 1, leaf, 0, [])
    for position, size in ((-1, 1), (1, 1), (2, 1), (0, 0)):
        assert not tree.verify_inclusion(root, size, leaf, position, [])
    assert tree.verify_consistency(root, 1, root, 1, [])
    for first, second in ((0, 0), (0, 1), (2, 1), (1, 2)):
        assert not tree.verify_consistency(root, second, root, first, [])
        assert not tree.verify_consistency(root, second, root, first, [root])
    assert not tree.verify_consistency(TREE.roots[2], 1, root, 1, [])
    assert not tree.verify_consistency(root, 1, root, 1, [root])


@given(SIZES)
def test_a_tree_that_grew_leaf_by_leaf_has_the_root_by_definition(size: int) -> None:
    assert TREE.roots[size] == root_by_definition(TREE.leaves[:size])


@given(SIZES, SIZES)
def test_a_frontier_resumes_from_its_peaks(first: int, second: int) -> None:
    first, second = sorted((first, second))
    nodes = tree.complete_subtrees(LeafRange(0, first))
    frontier = Frontier(first, [TREE.hashes[node] for node in nodes])
    completed = [node for leaf in TREE.leaves[first:second] for node, _ in frontier.append(leaf)]
    assert frontier.root() == TREE.roots[second]
    assert sorted(completed) == sorted(tree.completed_nodes(first, second))
    assert tree.node_count(second) == len(tree.completed_nodes(0, second))


@given(SIZES, SIZES)
def test_a_proof_is_made_of_the_complete_subtrees_that_are_asked_for(first: int, second: int) -> None:
    first, second = sorted((first, second))
    path = tree.consistency_path(first, second)
    needed = tree.nodes_of(path)
    assert needed == [node for branch in path for node in tree.complete_subtrees(branch)]
    proof = tree.proof_hashes(path, {node: TREE.hashes[node] for node in needed})
    assert proof == TREE.consistency(first, second)


@given(st.lists(SIZES, min_size=1, max_size=6))
def test_a_tree_is_the_same_when_it_grows_by_one_leaf_or_by_many(ends: list[int]) -> None:
    frontier, hashes = Frontier(), {}
    for end in sorted(ends):
        for run in frontier.extend(TREE.leaves[frontier.size : end]):
            hashes.update({Node(run.level, run.first + n): each for n, each in enumerate(run.hashes)})
    assert (frontier.size, frontier.root()) == (max(ends), TREE.roots[max(ends)])
    assert hashes == {node: TREE.hashes[node] for node in tree.completed_nodes(0, max(ends))}


@given(SIZES, SIZES, st.integers(0, 8))
def test_every_leaf_has_an_inclusion_proof_and_no_other_is_accepted(position: int, size: int, number: int) -> None:
    position, size = min(position, size) - 1, max(position, size)
    root, leaf, path = TREE.roots[size], TREE.leaves[position], TREE.inclusion(position, size)
    assert len(path) <= (size - 1).bit_length()
    assert tree.verify_inclusion(root, size, leaf, position, path)
    assert not tree.verify_inclusion(root, size, tree.leaf_hash(b"another"), position, path)
    assert not tree.verify_inclusion(TREE.roots[size - 1], size, leaf, position, path)
    for other in {position - 1, position + 1, position ^ 2} - {position}:
        assert not tree.verify_inclusion(root, size, leaf, other, path)
    for wrong in invalid_proofs(path, number) if path else []:
        assert not tree.verify_inclusion(root, size, leaf, position, wrong)


@given(SIZES, SIZES, st.integers(0, 9))
def test_every_earlier_size_has_a_consistency_proof_and_no_other_is_accepted(
    first: int, second: int, number: int
) -> None:
    first, second = sorted((first, second))
    old, new, path = TREE.roots[first], TREE.roots[second], TREE.consistency(first, second)
    assert len(path) <= second.bit_length() + 1
    assert tree.verify_consistency(new, second, old, first, path)
    if first < second:
        assert not tree.verify_consistency(old, second, new, first, path)
        assert not tree.verify_consistency(new, second, tree.leaf_hash(b"another"), first, path)
        assert not tree.verify_consistency(new, second, old, first, [])
    for wrong in invalid_proofs(path, number) if path else []:
        assert not tree.verify_consistency(new, second, old, first, wrong)

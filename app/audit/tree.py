"""The Merkle tree of RFC 9162, 2.1: hashes, growth, inclusion and consistency proofs, and their verification."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from itertools import chain
from typing import NamedTuple

HASH_BYTES = 32


class Node(NamedTuple):
    """A complete subtree of ``2 ** level`` leaves, from the leaf ``position * 2 ** level`` on."""

    level: int
    position: int


class LeafRange(NamedTuple):
    """The leaves from ``begin`` to before ``end`` below one branch of a tree: D[begin:end] of RFC 9162, 2.1.1."""

    begin: int
    end: int


class NodeRun(NamedTuple):
    """The ``hashes`` of neighbouring nodes of a level, from the position ``first`` on."""

    level: int
    first: int
    hashes: list[bytes]


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of a leaf (RFC 9162, 2.1.1)."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node (RFC 9162, 2.1.1)."""
    return sha256(b"\x01" + left + right).digest()


def range_hash(peaks: Sequence[bytes]) -> bytes:
    """Return the hash of a range of leaves, given those of its ``complete_subtrees``."""
    if not peaks:
        return sha256().digest()
    *larger, root = peaks
    for peak in reversed(larger):
        root = node_hash(peak, root)
    return root


def complete_subtrees(leaves: LeafRange) -> list[Node]:
    """Return the complete subtrees that make up a range, largest and leftmost first."""
    begin, length = leaves.begin, leaves.end - leaves.begin
    nodes = []
    for level in reversed(range(length.bit_length())):
        if length >> level & 1:
            nodes.append(Node(level, begin >> level))
            begin += 1 << level
    return nodes


def completed_nodes(first: int, second: int) -> list[Node]:
    """Return the nodes, leaves included, that a tree gains when it grows from ``first`` to ``second`` leaves."""
    levels = range(second.bit_length())
    return [Node(level, position) for level in levels for position in range(first >> level, second >> level)]


def node_count(size: int) -> int:
    """Return the number of nodes of a tree of ``size`` leaves, leaves included."""
    return 2 * size - size.bit_count()


class Frontier:
    """The right edge of a tree: the peaks, which are its complete subtrees, largest first. Growth needs no more."""

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        self.size = size
        self._peaks = list(peaks)

    def extend(self, leaves: Sequence[bytes]) -> list[NodeRun]:
        """Append leaf hashes; returns the nodes that this completes, level by level from the leaves."""
        runs: list[NodeRun] = []
        new_peaks: list[bytes] = []
        level, first, hashes = 0, self.size, list(leaves)
        while hashes:
            runs.append(NodeRun(level, first, hashes))
            siblings = [self._peaks.pop(), *hashes] if first & 1 else hashes
            if len(siblings) & 1:
                new_peaks.append(siblings[-1])
            hashes = [node_hash(left, right) for left, right in zip(siblings[::2], siblings[1::2], strict=False)]
            level, first = level + 1, first >> 1
        self._peaks += reversed(new_peaks)
        self.size += len(leaves)
        return runs

    def append(self, leaf: bytes) -> list[tuple[Node, bytes]]:
        """Append a leaf hash; returns the nodes that this completes, from the leaf."""
        return [(Node(level, first), hash_) for level, first, (hash_,) in self.extend([leaf])]

    def root(self) -> bytes:
        """Return the root of the tree; that of an empty tree is SHA-256 of nothing."""
        return range_hash(self._peaks)


def inclusion_path(position: int, size: int) -> list[LeafRange]:
    """Return the ranges of an inclusion proof, from the leaf up (RFC 9162, 2.1.3.1). ``position < size``."""
    begin, end = 0, size
    path = []
    while end - begin > 1:
        split = begin + _largest_power_below(end - begin)
        if position < split:
            path.append(LeafRange(split, end))
            end = split
        else:
            path.append(LeafRange(begin, split))
            begin = split
    return path[::-1]


def consistency_path(first: int, second: int) -> list[LeafRange]:
    """Return the ranges of a consistency proof of two sizes (RFC 9162, 2.1.4.1). ``0 < first <= second``."""
    begin, end = 0, second
    path = []
    while first < end:
        split = begin + _largest_power_below(end - begin)
        if first <= split:
            path.append(LeafRange(split, end))
            end = split
        else:
            path.append(LeafRange(begin, split))
            begin = split
    if begin > 0:
        path.append(LeafRange(begin, end))
    return path[::-1]


def _largest_power_below(number: int) -> int:
    return 1 << ((number - 1).bit_length() - 1)


def nodes_of(path: Sequence[LeafRange]) -> list[Node]:
    """Return the nodes whose hashes ``proof_hashes`` needs."""
    return list(chain.from_iterable(complete_subtrees(each) for each in path))


def proof_hashes(path: Sequence[LeafRange], hashes: Mapping[Node, bytes]) -> list[bytes]:
    """Return the hashes of a proof: one for each range of its path."""
    return [range_hash([hashes[node] for node in complete_subtrees(each)]) for each in path]


def verify_inclusion(root: bytes, size: int, leaf: bytes, position: int, path: Sequence[bytes]) -> bool:
    """True when ``path`` proves that the leaf hash is at ``position`` of the tree (RFC 9162, 2.1.3.2)."""
    if not 0 <= position < size:
        return False
    at, last, hash_ = position, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if at & 1 or at == last:
            hash_ = node_hash(sibling, hash_)
            at, last = _skip_levels_without_sibling(at, last)
        else:
            hash_ = node_hash(hash_, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and hash_ == root


def verify_consistency(second_root: bytes, second: int, first_root: bytes, first: int, path: Sequence[bytes]) -> bool:
    """True when ``path`` proves that the second tree begins with the first (RFC 9162, 2.1.4.2); sizes are in leaves."""
    if first == second:
        return first > 0 and not path and first_root == second_root
    if not 0 < first < second or not path:
        return False
    start, *rest = path if first & (first - 1) else [first_root, *path]
    at, last = first - 1, second - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old = new = start
    for sibling in rest:
        if last == 0:
            return False
        if at & 1 or at == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            at, last = _skip_levels_without_sibling(at, last)
        else:
            new = node_hash(new, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and old == first_root and new == second_root


def _skip_levels_without_sibling(at: int, last: int) -> tuple[int, int]:
    while at and not at & 1:
        at, last = at >> 1, last >> 1
    return at, last

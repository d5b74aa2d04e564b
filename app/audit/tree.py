"""The Merkle tree of RFC 9162, section 2.1: hashes, growing, proofs, and checking them."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from itertools import chain
from typing import NamedTuple

HASH_BYTES = 32


class Node(NamedTuple):
    """A complete subtree: of ``2 ** level`` leaves, from the leaf ``position * 2 ** level`` on."""

    level: int
    position: int


class Stretch(NamedTuple):
    """The leaves from ``begin`` to before ``end``: a branch of a tree, complete or the ragged one at its right edge."""

    begin: int
    end: int


class Grown(NamedTuple):
    """Complete subtrees side by side: ``hashes`` of those of ``level``, from the one at ``first`` on."""

    level: int
    first: int
    hashes: list[bytes]


def leaf_hash(entry: bytes) -> bytes:
    """The hash of a leaf (RFC 9162, 2.1.1)."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node (RFC 9162, 2.1.1)."""
    return sha256(b"\x01" + left + right).digest()


def root_of(peaks: Sequence[bytes]) -> bytes:
    """The hash of a branch, from those of its complete subtrees, largest and leftmost first."""
    if not peaks:
        return sha256().digest()
    *larger, root = peaks
    for peak in reversed(larger):
        root = node_hash(peak, root)
    return root


def complete_subtrees(stretch: Stretch) -> list[Node]:
    """The complete subtrees that a branch consists of, largest and leftmost first."""
    begin, length = stretch.begin, stretch.end - stretch.begin
    found = []
    for level in reversed(range(length.bit_length())):
        if length >> level & 1:
            found.append(Node(level, begin >> level))
            begin += 1 << level
    return found


def completed_between(first: int, second: int) -> list[Node]:
    """The subtrees that become complete while a tree grows from ``first`` to ``second`` leaves, leaves included."""
    levels = range(second.bit_length())
    return [Node(level, position) for level in levels for position in range(first >> level, second >> level)]


def subtrees_of(size: int) -> int:
    """How many complete subtrees a tree of ``size`` leaves has, leaves included."""
    return 2 * size - size.bit_count()


class Frontier:
    """The complete subtrees at the right edge of a tree, largest first: all that growing needs to hold."""

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        self.size = size
        self._peaks = list(peaks)

    def extend(self, leaves: Sequence[bytes]) -> list[Grown]:
        """Grow by the hashes of leaves; give the subtrees that this completes, the leaves themselves first."""
        grown: list[Grown] = []
        left_over: list[bytes] = []
        level, first, hashes = 0, self.size, list(leaves)
        while hashes:
            grown.append(Grown(level, first, hashes))
            waiting = [self._peaks.pop(), *hashes] if first & 1 else hashes
            if len(waiting) & 1:
                left_over.append(waiting[-1])
            hashes = [node_hash(left, right) for left, right in zip(waiting[::2], waiting[1::2], strict=False)]
            level, first = level + 1, first >> 1
        self._peaks += reversed(left_over)
        self.size += len(leaves)
        return grown

    def append(self, leaf: bytes) -> list[tuple[Node, bytes]]:
        """Grow by a leaf's hash; give each subtree that this completes, the leaf first."""
        return [(Node(level, first), subtree) for level, first, (subtree,) in self.extend([leaf])]

    def root(self) -> bytes:
        """The root of the tree as it is now; of an empty one, SHA-256 of nothing."""
        return root_of(self._peaks)


def inclusion_path(position: int, size: int) -> list[Stretch]:
    """The branches whose hashes prove a leaf, from the leaf to the root (RFC 9162, 2.1.3.1). ``position < size``."""
    begin, end = 0, size
    path = []
    while end - begin > 1:
        split = begin + _largest_power_below(end - begin)
        if position < split:
            path.append(Stretch(split, end))
            end = split
        else:
            path.append(Stretch(begin, split))
            begin = split
    return path[::-1]


def consistency_path(first: int, second: int) -> list[Stretch]:
    """The branches whose hashes prove that a tree grew out of another (RFC 9162, 2.1.4.1). ``0 < first <= second``."""
    begin, end = 0, second
    path = []
    while first < end:
        split = begin + _largest_power_below(end - begin)
        if first <= split:
            path.append(Stretch(split, end))
            end = split
        else:
            path.append(Stretch(begin, split))
            begin = split
    if begin > 0:
        path.append(Stretch(begin, end))
    return path[::-1]


def _largest_power_below(number: int) -> int:
    return 1 << ((number - 1).bit_length() - 1)


def nodes_for(path: Sequence[Stretch]) -> list[Node]:
    """The complete subtrees whose hashes ``proof`` needs."""
    return list(chain.from_iterable(complete_subtrees(each) for each in path))


def proof(path: Sequence[Stretch], hashes: Mapping[Node, bytes]) -> list[bytes]:
    """The hashes of the branches of a path."""
    return [root_of([hashes[node] for node in complete_subtrees(each)]) for each in path]


def includes(root: bytes, size: int, leaf: bytes, position: int, path: Sequence[bytes]) -> bool:
    """Whether ``path`` proves that ``leaf`` stands at ``position`` of the tree (RFC 9162, 2.1.3.2)."""
    if not 0 <= position < size:
        return False
    at, last, found = position, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = node_hash(sibling, found)
            at, last = _up_to_a_right_child(at, last)
        else:
            found = node_hash(found, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and found == root


def extends(second_root: bytes, second: int, first_root: bytes, first: int, path: Sequence[bytes]) -> bool:
    """Whether ``path`` proves that the tree of ``second`` leaves begins with that of ``first`` (RFC 9162, 2.1.4.2)."""
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
            at, last = _up_to_a_right_child(at, last)
        else:
            new = node_hash(new, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and old == first_root and new == second_root


def _up_to_a_right_child(at: int, last: int) -> tuple[int, int]:
    """Past the levels on which the node at the right edge has no sibling."""
    while at and not at & 1:
        at, last = at >> 1, last >> 1
    return at, last

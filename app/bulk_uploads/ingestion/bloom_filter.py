"""Bloom filter of an upload's references, so that few of them have to be looked up in the database."""

from collections.abc import Iterable

SLOTS = 2**22


class BloomFilter:
    """Set in fixed memory that may take a new reference for a repeated one, but never the reverse (Bloom 1970).

    It has 4 MiB and one hash function: of a million references, one in nine is a false positive.
    """

    def __init__(self, *, is_empty: bool) -> None:
        """Begin empty; otherwise any reference counts as repeated, since those added before are not known."""
        self._taken = bytearray(SLOTS) if is_empty else bytearray(b"\1" * SLOTS)

    def possible_repeats(self, references: Iterable[str]) -> list[str]:
        """Add references, and return those that may have been added before."""
        repeats = []
        for each in references:
            slot = hash(each) % SLOTS
            if self._taken[slot]:
                repeats.append(each)
            else:
                self._taken[slot] = 1
        return repeats

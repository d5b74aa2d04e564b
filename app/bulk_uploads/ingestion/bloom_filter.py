"""Which references of an upload may have stood in it before: in fixed memory, so that few have to be looked up."""

from collections.abc import Iterable

SLOTS = 2**22


class BloomFilter:
    """Lets a reference through that may have come before; one that it holds back has not.

    A Bloom filter (Bloom 1970) of 4 MiB with one hash: of a million references one in nine comes through in vain.
    """

    def __init__(self, *, is_first: bool) -> None:
        """``is_first``: none came before; else it cannot know, and lets all through."""
        self._taken = bytearray(SLOTS) if is_first else bytearray(b"\1" * SLOTS)

    def may_repeat(self, references: Iterable[str]) -> list[str]:
        """Those that may have come before."""
        through = []
        for each in references:
            slot = hash(each) % SLOTS
            if self._taken[slot]:
                through.append(each)
            else:
                self._taken[slot] = 1
        return through

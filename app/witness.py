"""A witness of the service's event log: keeps the checkpoints that it is shown, and says when two do not fit.

Two checkpoints fit when the larger tree begins with the smaller one (RFC 9162, 2.1.4). Whoever rewrites the log can
sign another tree, but not one that fits what a witness has kept.
"""

import os
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import BaseModel, ValidationError

from app.audit import tree
from app.audit.checkpoint import TreeHead
from app.core.process.atomic_files import replace_file

MOST_KEPT = 1_000  # when there are twice as many, older ones are forgotten
PROVEN_AT_ONCE = 20
CLOCKS_DIFFER = timedelta(minutes=1)


class Misfit(Exception):
    """A checkpoint that cannot be true beside one that was kept."""


class NotProven(Exception):
    """There is no proof to be had just now, or not for this client."""


class Kept(BaseModel):
    """A checkpoint in the form of ``GET /v1/audit/checkpoint``, and whether it fits: None when nobody proved it."""

    size: int
    root: str
    signed_at: datetime
    signed: str
    fits: bool | None


# the hashes that prove that the tree of the second size begins with that of the first
Prove = Callable[[int, int], Sequence[bytes]]


class Witness:
    """Keeps checkpoints in ``file``, a JSON object a line, to which lines are added.

    The first one is taken as it is. A later line of the same checkpoint says what was found out since. ``prove``
    gives the hashes of a consistency proof, or raises ``NotProven``, or ``Misfit`` when the log has not the trees.
    """

    def __init__(self, file: Path, prove: Prove) -> None:
        self._file = file
        self._prove = prove
        self._kept: dict[str, Kept] = {}
        self._is_read = self._is_torn = False

    def see(self, signed: str, said: TreeHead) -> None:
        """Keep a checkpoint whose signature was checked.

        Raises ``Misfit`` while one that does not fit is among those that are kept, and ``OSError``.
        """
        self._read()
        seen = self._kept.get(signed)
        if seen is None or seen.fits is None:
            fresh = Kept(size=said.size, root=said.root, signed_at=said.time, signed=signed, fits=None)
            seen = self._judged(fresh)
            self._add(seen)
            self._prove_others()
        if misfits := [each.size for each in self._kept.values() if each.fits is False]:
            sizes = ", ".join(map(str, sorted(set(misfits))))
            raise Misfit(
                f"the event log was rewritten, or forked: the checkpoint of size {sizes} does not fit the others in "
                f"{self._file}"
            )

    def _judged(self, fresh: Kept) -> Kept:
        others = [each for each in self._kept.values() if each.fits is not False and each.signed != fresh.signed]
        proven = [each for each in others if each.fits]
        if not proven:
            fits: bool | None = True
        elif any(each.size == fresh.size and each.root != fresh.root for each in others):
            fits = False
        else:
            fits = self._fits(fresh, max(proven, key=lambda each: each.size))
            if fits is None and any(_shrinks(each, fresh) for each in others):
                fits = False
        return fresh.model_copy(update={"fits": fits})

    def _fits(self, one: Kept, other: Kept) -> bool | None:
        first, second = sorted((one, other), key=lambda each: each.size)
        if first.size == second.size:
            return first.root == second.root
        try:
            path = self._prove(first.size, second.size)
        except NotProven:
            return None
        except Misfit:
            return False
        roots = bytes.fromhex(second.root), bytes.fromhex(first.root)
        return tree.verify_consistency(roots[0], second.size, roots[1], first.size, path)

    def _prove_others(self) -> None:
        """Prove what could not be proven when it was seen."""
        for each in [each for each in self._kept.values() if each.fits is None][-PROVEN_AT_ONCE:]:
            judged = self._judged(each)
            if judged.fits is None:
                return
            self._add(judged)

    def _add(self, kept: Kept) -> None:
        self._kept.pop(kept.signed, None)
        self._kept[kept.signed] = kept
        line = kept.model_dump_json().encode() + b"\n"
        with self._file.open("ab") as file:
            file.write(b"\n" + line if self._is_torn else line)
            file.flush()
            os.fsync(file.fileno())
        self._is_torn = False
        if len(self._kept) > 2 * MOST_KEPT:
            self._thin_out()

    def _thin_out(self) -> None:
        """Forget the oldest of those that fit, which larger ones contain, and much of the others."""
        fitting = sorted((each for each in self._kept.values() if each.fits), key=lambda each: each.size)
        misfits = [each for each in self._kept.values() if each.fits is False]
        unproven = [each for each in self._kept.values() if each.fits is None]
        few = MOST_KEPT // 4
        stay = {each.signed for each in (*fitting[-2 * few :], *misfits[:few], *unproven[-few:])}
        self._kept = {signed: each for signed, each in self._kept.items() if signed in stay}
        replace_file(self._file, b"".join(each.model_dump_json().encode() + b"\n" for each in self._kept.values()))

    def _read(self) -> None:
        if self._is_read:
            return
        text = self._file.read_bytes() if self._file.exists() else b""
        self._is_torn = bool(text) and not text.endswith(b"\n")
        for line in text.splitlines():
            try:
                kept = Kept.model_validate_json(line)
            except ValidationError:  # the end of a line that was not written whole
                continue
            self._kept[kept.signed] = kept
        self._is_read = True


def _shrinks(before: Kept, fresh: Kept) -> bool:
    """Whether a tree that was signed later is the smaller one."""
    early, late = sorted((before, fresh), key=lambda each: each.signed_at)
    return late.size < early.size and late.signed_at - early.signed_at > CLOCKS_DIFFER

"""Witness of the service's event log: stores checkpoints, and reports those that are inconsistent.

Two checkpoints are consistent when the larger tree begins with the smaller one (RFC 9162, 2.1.4). A log that is
rewritten can be signed again, but it is not consistent with the checkpoints that a witness has stored.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import BaseModel, ValidationError

from app.audit import tree
from app.audit.checkpoint import TreeHead
from app.core.process.atomic_files import append_to_file, replace_file

MAX_KEPT = 1_000  # old ones are removed when there are twice as many
MAX_PROOFS_PER_STEP = 20
CLOCK_TOLERANCE = timedelta(minutes=1)


class InconsistentCheckpoint(Exception):
    """A checkpoint contradicts one that is stored."""


class ProofUnavailable(Exception):
    """No proof is available now, or not to this client."""


class StoredCheckpoint(BaseModel):
    """A checkpoint as in ``GET /v1/audit/checkpoint``; ``fits`` is true if consistent, None while not proven."""

    size: int
    root: str
    signed_at: datetime
    signed: str
    fits: bool | None


# Takes the sizes of two trees, and returns the hashes that prove that the second begins with the first.
Prove = Callable[[int, int], Sequence[bytes]]


class Witness:
    """Stores checkpoints in ``file``, one JSON object per line, by appending; the last line of a checkpoint counts.

    The first checkpoint is trusted. ``prove`` returns a consistency proof (RFC 9162, 2.1.4), or raises
    ``ProofUnavailable``, or ``InconsistentCheckpoint`` when the log does not have the trees.
    """

    def __init__(self, file: Path, prove: Prove) -> None:
        self._file = file
        self._prove = prove
        self._checkpoints: dict[str, StoredCheckpoint] = {}
        self._is_loaded = self._is_torn = False

    def observe(self, signed: str, statement: TreeHead) -> None:
        """Store a checkpoint whose signature was verified.

        Raises ``InconsistentCheckpoint`` while an inconsistent one is stored, and ``OSError``.
        """
        self._load()
        known = self._checkpoints.get(signed)
        if known is None or known.fits is None:
            fresh = StoredCheckpoint(
                size=statement.size, root=statement.root, signed_at=statement.time, signed=signed, fits=None
            )
            self._add(self._compare(fresh))
            self._prove_others()
        if inconsistent := {each.size for each in self._checkpoints.values() if each.fits is False}:
            sizes = ", ".join(map(str, sorted(inconsistent)))
            raise InconsistentCheckpoint(
                f"the event log was rewritten or forked: the checkpoint of size {sizes} is inconsistent with others in "
                f"{self._file}"
            )

    def _compare(self, fresh: StoredCheckpoint) -> StoredCheckpoint:
        """Set ``fits`` by comparison with the checkpoints that are not inconsistent."""
        others = [each for each in self._checkpoints.values() if each.fits is not False and each.signed != fresh.signed]
        proven = [each for each in others if each.fits]
        if not proven:
            fits: bool | None = True
        elif any(each.size == fresh.size and each.root != fresh.root for each in others):
            fits = False
        else:
            fits = self._is_consistent(fresh, max(proven, key=lambda each: each.size))
            if fits is None and any(_shrinks(each, fresh) for each in others):
                fits = False
        return fresh.model_copy(update={"fits": fits})

    def _is_consistent(self, one: StoredCheckpoint, other: StoredCheckpoint) -> bool | None:
        """Compare two checkpoints by a proof; None when none is available."""
        first, second = sorted((one, other), key=lambda each: each.size)
        if first.size == second.size:
            return first.root == second.root
        try:
            path = self._prove(first.size, second.size)
        except ProofUnavailable:
            return None
        except InconsistentCheckpoint:
            return False
        return tree.verify_consistency(
            bytes.fromhex(second.root), second.size, bytes.fromhex(first.root), first.size, path
        )

    def _prove_others(self) -> None:
        """Retry the proofs of checkpoints that are not proven yet."""
        for each in [each for each in self._checkpoints.values() if each.fits is None][-MAX_PROOFS_PER_STEP:]:
            compared = self._compare(each)
            if compared.fits is None:
                return
            self._add(compared)

    def _add(self, checkpoint: StoredCheckpoint) -> None:
        line = checkpoint.model_dump_json().encode() + b"\n"
        append_to_file(self._file, b"\n" + line if self._is_torn else line)
        self._is_torn = False
        self._checkpoints.pop(checkpoint.signed, None)
        self._checkpoints[checkpoint.signed] = checkpoint
        if len(self._checkpoints) > 2 * MAX_KEPT:
            self._prune()

    def _prune(self) -> None:
        """Rewrite the file with half of ``MAX_KEPT`` consistent checkpoints, and a quarter of each other kind.

        The consistent ones are the largest, which commit to the smaller ones.
        """
        every = self._checkpoints.values()
        consistent = sorted((each for each in every if each.fits), key=lambda each: each.size)
        inconsistent = [each for each in every if each.fits is False]
        unproven = [each for each in every if each.fits is None]
        quarter = MAX_KEPT // 4
        kept = (*consistent[-2 * quarter :], *inconsistent[:quarter], *unproven[-quarter:])
        signed = {each.signed for each in kept}
        self._checkpoints = {each.signed: each for each in every if each.signed in signed}
        lines = [each.model_dump_json().encode() + b"\n" for each in self._checkpoints.values()]
        replace_file(self._file, b"".join(lines))

    def _load(self) -> None:
        if self._is_loaded:
            return
        text = self._file.read_bytes() if self._file.exists() else b""
        self._is_torn = bool(text) and not text.endswith(b"\n")
        for line in text.splitlines():
            try:
                checkpoint = StoredCheckpoint.model_validate_json(line)
            except ValidationError:  # a line that was not written completely
                continue
            self._checkpoints[checkpoint.signed] = checkpoint
        self._is_loaded = True


def _shrinks(one: StoredCheckpoint, other: StoredCheckpoint) -> bool:
    """True when the tree that was signed later is the smaller one."""
    early, late = sorted((one, other), key=lambda each: each.signed_at)
    return late.size < early.size and late.signed_at - early.signed_at > CLOCK_TOLERANCE

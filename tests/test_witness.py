"""A witness stores checkpoints of the event log, and finds that a log was rewritten or forked."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app import witness
from app.audit import tree
from app.audit.checkpoint import TreeHead
from app.audit.tree import Frontier, Node
from app.witness import InconsistentCheckpoint, ProofUnavailable, StoredCheckpoint, Witness

NOW = datetime(2026, 11, 1, tzinfo=UTC)


class Log:
    """An event log that signs checkpoints, and proves consistency unless it is ``failing``."""

    def __init__(self, name: str, after: "Log | None" = None, size: int = 0) -> None:
        self.leaves: list[bytes] = [
            *(after.leaves[:size] if after else []),
            *(tree.leaf_hash(f"{name}{n}".encode()) for n in range(50)),
        ]
        self.failing: Exception | None = None
        self.asked: list[tuple[int, int]] = []

    def at(self, size: int, signed: str = "", minutes: float | None = None) -> tuple[str, TreeHead]:
        frontier = Frontier()
        frontier.extend(self.leaves[:size])
        time = NOW + timedelta(minutes=size if minutes is None else minutes)
        root = frontier.root().hex()
        return f"{size}-{root[:8]}{signed}", TreeHead(issuer="https://x", size=size, root=root, time=time)

    def prove(self, first: int, second: int) -> Sequence[bytes]:
        self.asked.append((first, second))
        if self.failing:
            raise self.failing
        frontier, nodes = Frontier(), dict[Node, bytes]()
        for leaf in self.leaves[:second]:
            nodes |= dict(frontier.append(leaf))
        return tree.proof_hashes(tree.consistency_path(first, second), nodes)


@pytest.fixture
def log() -> Log:
    return Log("a")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "list.txt.checkpoints"


def lines(file: Path) -> list[tuple[int, bool | None]]:
    kept = [StoredCheckpoint.model_validate_json(line) for line in file.read_bytes().splitlines()]
    return [(each.size, each.fits) for each in kept]


def test_a_rewritten_log_is_inconsistent_and_is_reported_each_time(log: Log, file: Path) -> None:
    observer = Witness(file, log.prove)
    observer.observe(*log.at(5))
    other = Log("b", after=log, size=3)
    for size in (9, 9, 12):
        with pytest.raises(InconsistentCheckpoint, match=r"size 9"):
            Witness(file, other.prove).observe(*other.at(size))
    assert lines(file) == [(5, True), (9, False), (12, False)]


def test_two_roots_of_one_size_are_inconsistent_even_without_a_proof(log: Log, file: Path) -> None:
    log.failing = ProofUnavailable()
    observer = Witness(file, log.prove)
    observer.observe(*log.at(5))
    observer.observe(*log.at(7))
    with pytest.raises(InconsistentCheckpoint):
        observer.observe(*Log("b").at(7))


def test_a_log_that_became_smaller_is_inconsistent(log: Log, file: Path) -> None:
    log.failing = InconsistentCheckpoint("the log has no tree of size 7")
    observer = Witness(file, log.prove)
    observer.observe(*log.at(7))
    with pytest.raises(InconsistentCheckpoint):
        observer.observe(*log.at(5))


def test_a_smaller_tree_that_was_signed_later_is_inconsistent_even_without_a_proof(log: Log, file: Path) -> None:
    log.failing = ProofUnavailable()
    observer = Witness(file, log.prove)
    observer.observe(*log.at(7))
    observer.observe(*log.at(6, minutes=7.5))  # clocks differ
    observer.observe(*log.at(5))  # another process shows an older one
    with pytest.raises(InconsistentCheckpoint):
        observer.observe(*log.at(4, minutes=10))


def test_an_older_checkpoint_of_another_process_is_consistent(log: Log, file: Path) -> None:
    observer = Witness(file, log.prove)
    for size in (7, 5, 9, 5):
        observer.observe(*log.at(size))
    assert log.asked == [(5, 7), (7, 9)]
    assert lines(file) == [(7, True), (5, True), (9, True)]


def test_a_checkpoint_that_was_signed_again_by_another_key_is_consistent(log: Log, file: Path) -> None:
    observer = Witness(file, log.prove)
    observer.observe(*log.at(7))
    observer.observe(*log.at(7, signed="again", minutes=90))
    assert (lines(file), log.asked) == ([(7, True), (7, True)], [])


def test_a_checkpoint_without_a_proof_is_proven_later(log: Log, file: Path) -> None:
    observer = Witness(file, log.prove)
    observer.observe(*log.at(3))
    log.failing = ProofUnavailable()
    for size in (5, 7):
        observer.observe(*log.at(size))
    assert lines(file) == [(3, True), (5, None), (7, None)]
    log.failing = None
    Witness(file, log.prove).observe(*log.at(9))
    assert sorted(lines(file)[3:]) == [(5, True), (7, True), (9, True)]


def test_a_fork_is_found_once_proofs_are_available(log: Log, file: Path) -> None:
    observer = Witness(file, log.prove)
    observer.observe(*log.at(3))
    log.failing = ProofUnavailable()
    observer.observe(*Log("b").at(5))
    log.failing = None
    with pytest.raises(InconsistentCheckpoint, match="size 5"):
        observer.observe(*log.at(9))


def test_a_line_that_was_not_written_completely_is_skipped(log: Log, file: Path) -> None:
    Witness(file, log.prove).observe(*log.at(3))
    with file.open("ab") as end:
        end.write(b'{"size":5,"ro')
    Witness(file, log.prove).observe(*log.at(7))
    assert log.asked == [(3, 7)]
    again = Witness(file, log.prove)
    again.observe(*log.at(7))
    assert log.asked == [(3, 7)]


def test_the_file_stays_small_and_keeps_inconsistent_checkpoints(
    log: Log, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(witness, "MAX_KEPT", 8)
    observer = Witness(file, log.prove)
    observer.observe(*log.at(2))
    with pytest.raises(InconsistentCheckpoint):
        observer.observe(*Log("b").at(2))
    for size in range(3, 45):
        with pytest.raises(InconsistentCheckpoint):
            observer.observe(*log.at(size))
    assert len(lines(file)) <= 16
    assert {(2, False), (44, True)} <= set(lines(file))

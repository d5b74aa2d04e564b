"""The local list: the file in a format, and beside it the verified list as JSON, from which it can be written again."""

from hashlib import sha256
from pathlib import Path

from pydantic import ValidationError

from app.allowlist.formats import FORMATS, Selection, SnapshotBody
from app.allowlist.snapshot import InvalidSnapshot, Snapshot
from app.core.process.atomic_files import remove_unfinished, replace_file


class ListFile:
    """The file ``path`` with the list in ``format``: of one family (4, 6) or both (None), aggregated on request.

    ``snapshot`` is the whole list, loaded from ``path.feed`` if that is undamaged, else None.
    """

    def __init__(self, path: Path, format_: str, family: int | None, *, aggregate: bool) -> None:
        self.path = path
        self._format = FORMATS[format_]
        self._family = family
        self._aggregate = aggregate
        self._state = path.with_name(f"{path.name}.feed")
        for each in (self.path, self._state):
            remove_unfinished(each)
        self.snapshot = self._load()
        self._is_saved = self.snapshot is not None
        self._written = b""  # SHA-256 of the file of ``snapshot``, once it is known

    @property
    def is_current(self) -> bool:
        """True when the file and the one beside it are those of ``snapshot``."""
        return self._is_saved and self.is_written

    @property
    def is_written(self) -> bool:
        """True when the file is that of ``snapshot``."""
        if self.snapshot is None or not self.path.exists():
            return False
        self._written = self._written or sha256(self._encode(self.snapshot)).digest()
        return sha256(self.path.read_bytes()).digest() == self._written

    def write(self, fresh: Snapshot) -> None:
        """Replace the file, then the one beside it. Raises ``OSError``.

        When only the second fails, ``snapshot`` is the fresh list and ``is_current`` is false.
        """
        body = self._encode(fresh)
        replace_file(self.path, body)
        self.snapshot, self._written, self._is_saved = fresh, sha256(body).digest(), False
        replace_file(self._state, SnapshotBody.of(fresh, fresh.networks).model_dump_json().encode())
        self._is_saved = True

    def _encode(self, snapshot: Snapshot) -> bytes:
        return self._format.encode(snapshot, Selection(self._family, self._aggregate)).encode()

    def _load(self) -> Snapshot | None:
        try:
            body = SnapshotBody.model_validate_json(self._state.read_bytes())
            snapshot = build_snapshot(body)
        except (OSError, ValidationError, InvalidSnapshot, ValueError):
            return None
        return snapshot if snapshot.digest == body.digest else None


def build_snapshot(body: SnapshotBody) -> Snapshot:
    """Build the list of a body. Raises ``InvalidSnapshot``, ``ValueError`` or ``OSError`` for what is no list."""
    return Snapshot(body.session, body.serial, body.published_at, ((network, body.serial) for network in body.networks))

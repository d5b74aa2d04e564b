"""The tree over the log, and what was signed of it. Rows are added and stay as they are."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from app.audit.entry import Erasable
from app.core.database.base import Base


class Leaf(Base):
    """Which event stands at which position of the log, and the salt of its entry's commitments.

    ``erasable_commitment`` is the one to what can be erased of the event, null where there is nothing. Its salt is
    apart from the others, so that it can be deleted: then nobody can guess what was erased.

    It does not refer to the event by a foreign key: an event that is deleted leaves its leaf, and so it shows.
    """

    __tablename__ = "audit_leaves"

    position: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    event_id: Mapped[UUID] = mapped_column(unique=True)
    salt: Mapped[bytes]
    erasable_salt: Mapped[bytes | None]
    erasable_commitment: Mapped[bytes | None]

    @property
    def erasable(self) -> Erasable | None:
        """The commitment to what can be erased of the event, with its salt until then."""
        return Erasable(self.erasable_salt, self.erasable_commitment) if self.erasable_commitment else None


class TreeNode(Base):
    """The hash of a complete subtree, as in ``tree.Node``; level 0 are the leaves."""

    __tablename__ = "audit_nodes"

    level: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    hash: Mapped[bytes]


class Checkpoint(Base):
    """The tree at a size: its root, and the JWS that says so (see ``checkpoint.py``)."""

    __tablename__ = "audit_checkpoints"

    size: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    root: Mapped[bytes]
    signed_at: Mapped[datetime]
    signed: Mapped[str]

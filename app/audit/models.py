"""The tables of the Merkle tree and its checkpoints; rows of leaves and nodes are append-only."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from app.audit.entry import ErasableCommitment
from app.core.database.base import Base


class Leaf(Base):
    """The event at a position of the log, and the salt of its entry's commitments.

    ``erasable_commitment`` is the commitment to the event's erasable details, null where there are none. It has a salt
    of its own, which an erasure deletes so that nobody can guess the details.

    ``event_id`` is no foreign key: the leaf of a deleted event stays, so that the deletion is found.
    """

    __tablename__ = "audit_leaves"

    position: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    event_id: Mapped[UUID] = mapped_column(unique=True)
    salt: Mapped[bytes]
    erasable_salt: Mapped[bytes | None]
    erasable_commitment: Mapped[bytes | None]

    @property
    def erasable(self) -> ErasableCommitment | None:
        """The commitment to the event's erasable details; None where there are none."""
        return ErasableCommitment(self.erasable_salt, self.erasable_commitment) if self.erasable_commitment else None


class TreeNode(Base):
    """The hash of a ``tree.Node``; nodes of level 0 are the leaves."""

    __tablename__ = "audit_nodes"

    level: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    hash: Mapped[bytes]


class Checkpoint(Base):
    """The root of the tree at a size, and ``signed``, the JWS of ``checkpoint.sign``."""

    __tablename__ = "audit_checkpoints"

    size: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    root: Mapped[bytes]
    signed_at: Mapped[datetime]
    signed: Mapped[str]

"""The table of certificates' places in the status list."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Sequence, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.base import NOW, Base
from app.registrations.models import Registration

# Counts how often an index was drawn, which bounds the number of certificates.
DRAWS = Sequence("certificate_draws", metadata=Base.metadata)


class Certificate(Base):
    """The index of a registration's certificate in the status list, ``idx``; none is ever used for another.

    ``expires_at`` is the latest end of what was signed with this index. A replaced index stays invalid.
    """

    __tablename__ = "certificates"
    __table_args__ = (
        Index("certificates_current_key", "registration_id", unique=True, postgresql_where=text("replaced_at IS NULL")),
    )

    idx: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    registration_id: Mapped[UUID] = mapped_column(ForeignKey(Registration.id))
    issued_at: Mapped[datetime] = mapped_column(server_default=NOW)
    expires_at: Mapped[datetime]
    replaced_at: Mapped[datetime | None]

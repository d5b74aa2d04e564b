"""Table of the heartbeats of worker processes."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.base import Base


class Worker(Base):
    """A worker process and the time of its last heartbeat."""

    __tablename__ = "workers"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    seen_at: Mapped[datetime] = mapped_column(server_default=func.now())

"""The pool of a process's connections."""

from sqlalchemy.pool import AsyncAdaptedQueuePool, PoolProxiedConnection

from app.core.database.transaction import DRIVER_ERRORS


class Pool(AsyncAdaptedQueuePool):
    """A pool that reports a connection lost during its setup as one that could not be made; SQLAlchemy does not."""

    def connect(self) -> PoolProxiedConnection:
        """Check out a connection. Raises ``ConnectionError`` for one that was lost."""
        try:
            return super().connect()
        except DRIVER_ERRORS as lost:
            raise ConnectionError(f"the connection was lost: {lost!r}") from lost

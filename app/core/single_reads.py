"""Reads of one statement, in one round trip where that is wise."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from sqlalchemy import Select

from app.core.compiled import Compiled
from app.core.tenancy import ACTING


class SingleRead:
    """A statement to be made once; ``bindparam`` stands for what differs from call to call.

    ``of_many`` says that PostgreSQL has to know whose rows it reads when it plans the statement: how many there are
    decides how it goes about it.
    """

    def __init__(self, statement: Select[*tuple[Any, ...]], *, of_many: bool = False) -> None:
        self.statement = statement
        self._of_many = of_many

    @cached_property
    def as_service(self) -> Sequence[Compiled]:
        """The statement as it is."""
        return (Compiled(self.statement),)

    @cached_property
    def as_tenant(self) -> Sequence[Compiled]:
        """What reads for the tenant of the parameters ``tenant_partner`` and ``tenant_operator``, and for nobody after.

        The settings end with the transaction.
        """
        (statement,) = self.as_service
        return (_ACTING, statement) if self._of_many else (statement.acting,)


_ACTING = Compiled(ACTING)

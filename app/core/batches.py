"""A large batch of rows as a table of one statement, by its columns: an array each, in the driver's binary form."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import TableValuedAlias, column, func, literal
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import TypeEngine


def batch_of(name: str, kinds: Mapping[str, TypeEngine[Any]], columns: Sequence[Sequence[Any]]) -> TableValuedAlias:
    """The rows whose values stand in ``columns``, in the order of ``kinds``; all are equally long.

    It says what ``orm.recordset`` says of rows, at a fraction of its cost for thousands of them: neither side writes or
    reads text. (COPY would cost as little, and PostgreSQL refuses it on tables with row-level security.)
    """
    arrays = (literal(list(each), ARRAY(kind)) for kind, each in zip(kinds.values(), columns, strict=True))
    columns_ = (column(each, kind) for each, kind in kinds.items())
    return func.unnest(*arrays).table_valued(*columns_, name=name).render_derived(name=name)
